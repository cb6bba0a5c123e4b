//! Server addresses as users write them.

use std::fmt;

/// Where one server is, and the credentials that stood in its address.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
}

impl Address {
    /// The address as the client takes it, without credentials.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls { "tls" } else { "nats" };
        format!("{scheme}://{}:{}", self.host, self.port)
    }

    /// A server that this one told of: the same scheme and credentials elsewhere.
    pub(crate) fn sibling(&self, told: &str) -> Option<Self> {
        let other = one(told).ok()?;
        Some(Self {
            host: other.host,
            port: other.port,
            ..self.clone()
        })
    }
}

/// Where the server is; no credentials.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no address.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadAddress {
    /// It, without its credentials.
    pub(crate) url: String,
    /// What is wrong with it.
    pub(crate) reason: &'static str,
}

/// Reads addresses with commas between them.
pub(crate) fn parse(text: &str) -> Result<Vec<Address>, BadAddress> {
    text.split(',')
        .map(str::trim)
        .map(|text| {
            one(text).map_err(|reason| BadAddress {
                url: redacted(text),
                reason,
            })
        })
        .collect()
}

/// The text with what stands before an `@` left out.
pub(crate) fn redacted(text: &str) -> String {
    let redact = |text: &str| match text.rsplit_once('@') {
        Some((before, host)) => {
            // A password may have what ends a scheme.
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            match !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                true => format!("{scheme}://…@{host}"),
                false => format!("…@{host}"),
            }
        }
        None => text.to_owned(),
    };
    text.split(',').map(redact).collect::<Vec<_>>().join(",")
}

fn one(text: &str) -> Result<Address, &'static str> {
    let (tls, rest) = match text.split_once("://") {
        None => (false, text),
        Some(("nats", rest)) => (false, rest),
        Some(("tls", rest)) => (true, rest),
        Some(_) => return Err("only nats:// and tls:// are known"),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (credentials, place) = match rest.rsplit_once('@') {
        Some((credentials, place)) => (Some(credentials), place),
        None => (None, rest),
    };
    if place.contains('/') {
        return Err("a path follows the host");
    }
    let (user, password) = match credentials.map(|text| text.split_once(':').ok_or(text)) {
        None => (None, None),
        Some(Ok((user, password))) => (Some(decoded(user)?), Some(decoded(password)?)),
        Some(Err(token)) => (Some(decoded(token)?), None),
    };
    if user.as_deref() == Some("") {
        return Err("the user before @ is empty");
    }
    let (host, port) = match place.rsplit_once(':') {
        // The colons of an IPv6 address stand in brackets.
        Some((host, port)) if !port.contains(']') => (
            host,
            port.parse()
                .map_err(|_| "the port is not a number below 65536")?,
        ),
        Some(_) | None => (place, 4_222),
    };
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let valid = match bracketed {
        Some(host) => host.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(plain),
    };
    if !valid {
        return Err("the host is not a name or an address");
    }
    Ok(Address {
        tls,
        host: host.to_owned(),
        port,
        user,
        password,
    })
}

/// Resolves `%40` and its like.
fn decoded(text: &str) -> Result<String, &'static str> {
    const WRONG: &str = "a % in the credentials is not followed by two hexadecimal digits";
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(WRONG);
        };
        bytes.push(u8::try_from(high << 4 | low).map_err(|_| WRONG)?);
    }
    String::from_utf8(bytes).map_err(|_| "the credentials are not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::{one, parse, redacted};

    #[test]
    fn addresses_are_read_in_all_their_forms() {
        let of = |text| one(text).unwrap();
        assert_eq!(of("host").url(), "nats://host:4222");
        assert_eq!(of("tls://host:1/").url(), "tls://host:1");
        assert_eq!(of("nats://[::1]:4223").url(), "nats://[::1]:4223");
        assert_eq!(of("nats://[::1]").url(), "nats://[::1]:4222");
        let user = of("nats://a%40b:p:%25@h:1");
        assert_eq!(user.user.as_deref(), Some("a@b"));
        assert_eq!(user.password.as_deref(), Some("p:%"));
        let token = of("nats://secret@h");
        assert_eq!(
            (token.user.as_deref(), token.password),
            (Some("secret"), None)
        );
    }

    #[test]
    fn what_is_no_address_is_told_without_its_secrets() {
        for bad in [
            "",
            "http://h",
            "h:x",
            "h:70000",
            "nats://",
            "nats://h/p",
            "a b",
            "[::1",
            "@h",
        ] {
            assert!(one(bad).is_err(), "{bad:?}");
        }
        let bad = parse("nats://ok,http://user:secret@h").unwrap_err();
        assert_eq!(bad.url, "http://…@h");
        assert_eq!(redacted("nats://h:1,u:p@i"), "nats://h:1,…@i");
        assert_eq!(redacted("user:se://cret@h"), "…@h");
    }

    #[test]
    fn a_sibling_has_the_same_credentials() {
        let known = one("tls://u:p@one:1").unwrap();
        let other = known.sibling("two:2").unwrap();
        assert_eq!(other.url(), "tls://two:2");
        assert_eq!(other.user.as_deref(), Some("u"));
    }
}
