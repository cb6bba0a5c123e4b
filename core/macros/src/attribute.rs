//! The attribute `name = "…", version = n` and its errors.

use proc_macro2::Span;
use syn::spanned::Spanned as _;
use syn::{Attribute, Error, LitInt, LitStr, Path, Result, parse_quote};

/// The longest stable name, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// What `#[event(…)]` or `#[message(…)]` says.
#[derive(Default)]
pub(crate) struct Attributes {
    name: Option<LitStr>,
    version: Option<(u16, Span)>,
    krate: Option<Path>,
    /// Where it says `schemas`.
    schemas: Option<Span>,
}

/// A stable name and version, as an attribute gives them.
pub(crate) struct Stable {
    pub(crate) name: LitStr,
    pub(crate) version: u16,
}

impl Attributes {
    /// Reads the attributes called `attribute`.
    pub(crate) fn parse(attribute: &str, attributes: &[Attribute]) -> Result<Self> {
        let mut this = Self::default();
        for found in attributes.iter().filter(|a| a.path().is_ident(attribute)) {
            found.parse_nested_meta(|meta| {
                if meta.path.is_ident("name") {
                    let name: LitStr = meta.value()?.parse()?;
                    check_name(&name)?;
                    once(&mut this.name, name, || meta.error("`name` is given twice"))
                } else if meta.path.is_ident("version") {
                    let number: LitInt = meta.value()?.parse()?;
                    let version = number.base10_parse::<u16>()?;
                    if version == 0 {
                        return Err(Error::new(number.span(), "versions begin with 1"));
                    }
                    once(&mut this.version, (version, number.span()), || {
                        meta.error("`version` is given twice")
                    })
                } else if attribute == "event" && meta.path.is_ident("schemas") {
                    let span = meta.path.span();
                    once(&mut this.schemas, span, || {
                        meta.error("`schemas` is given twice")
                    })
                } else if meta.path.is_ident("crate") {
                    let path: LitStr = meta.value()?.parse()?;
                    once(&mut this.krate, path.parse()?, || {
                        meta.error("`crate` is given twice")
                    })
                } else if attribute == "event" {
                    Err(meta.error("expected `name`, `version`, `schemas` or `crate`"))
                } else {
                    Err(meta.error("expected `name`, `version` or `crate`"))
                }
            })?;
        }
        Ok(this)
    }

    /// The path of the traits.
    pub(crate) fn krate(&self) -> Path {
        self.krate.clone().unwrap_or_else(|| parse_quote!(::tenure))
    }

    /// Whether it says `schemas`.
    pub(crate) fn schemas(&self) -> bool {
        self.schemas.is_some()
    }

    /// Refuses `schemas` where it does not belong.
    pub(crate) fn no_schemas(self, why: &str) -> Result<Self> {
        match self.schemas {
            Some(span) => Err(Error::new(span, why)),
            None => Ok(self),
        }
    }

    /// The name and version, which must both be there; `what` they are of stands at `span`.
    pub(crate) fn stable(self, attribute: &str, what: &str, span: Span) -> Result<Stable> {
        let missing = |field: &str| {
            Error::new(
                span,
                format!(
                    "{what} has no stable {field}: add `#[{attribute}(name = \"…\", version = 1)]`, \
                     which is stored and must not change when the Rust name does"
                ),
            )
        };
        Ok(Stable {
            name: self.name.ok_or_else(|| missing("name"))?,
            version: self.version.ok_or_else(|| missing("version"))?.0,
        })
    }

    /// Refuses a name or version where none belongs.
    pub(crate) fn no_stable(&self, why: &str) -> Result<()> {
        match (&self.name, &self.version) {
            (Some(name), _) => Err(Error::new(name.span(), why)),
            (None, Some((_, span))) => Err(Error::new(*span, why)),
            (None, None) => Ok(()),
        }
    }
}

fn check_name(name: &LitStr) -> Result<()> {
    let text = name.value();
    if text.is_empty() {
        return Err(Error::new(name.span(), "the name is empty"));
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(Error::new(
            name.span(),
            format!("the name is longer than {NAME_BYTES_MAX} bytes"),
        ));
    }
    Ok(())
}

fn once<T>(slot: &mut Option<T>, value: T, twice: impl FnOnce() -> Error) -> Result<()> {
    if slot.is_some() {
        return Err(twice());
    }
    *slot = Some(value);
    Ok(())
}
