//! An operator, an account with JetStream and a user, as signed JWTs: what `nsc` makes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use nkeys::KeyPair;
use serde_json::{Value, json};

pub(crate) struct Operator {
    operator: KeyPair,
    system: KeyPair,
    account: KeyPair,
    user: KeyPair,
}

impl Operator {
    pub(crate) fn new() -> Self {
        Self {
            operator: KeyPair::new_operator(),
            system: KeyPair::new_account(),
            account: KeyPair::new_account(),
            user: KeyPair::new_user(),
        }
    }

    /// The server's configuration.
    pub(crate) fn config(&self) -> String {
        let operator = jwt(
            &self.operator,
            &self.operator,
            "op",
            &json!({ "type": "operator" }),
        );
        let account = |key: &KeyPair, name: &str, limits: Value| {
            let limits = json!({
                "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
                "wildcards": true, "conn": -1, "leaf": -1,
                "mem_storage": limits, "disk_storage": limits, "streams": limits,
                "consumer": limits,
            });
            jwt(
                &self.operator,
                key,
                name,
                &json!({ "type": "account", "limits": limits }),
            )
        };
        let system = account(&self.system, "SYS", json!(0));
        let own = account(&self.account, "A", json!(-1));
        format!(
            "operator: {operator}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload {{\n\
             {}: {system}\n{}: {own}\n}}\n",
            self.system.public_key(),
            self.system.public_key(),
            self.account.public_key(),
        )
    }

    /// The user's creds file.
    pub(crate) fn creds(&self) -> String {
        let limits = json!({ "type": "user", "subs": -1, "data": -1, "payload": -1 });
        let jwt = jwt(&self.account, &self.user, "u", &limits);
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            self.user.seed().unwrap(),
        )
    }
}

fn jwt(issuer: &KeyPair, subject: &KeyPair, name: &str, nats: &Value) -> String {
    let mut nats = nats.clone();
    nats["version"] = json!(2);
    let claims = json!({
        "jti": name, "iat": 1_700_000_000, "name": name, "nats": nats,
        "iss": issuer.public_key(), "sub": subject.public_key(),
    });
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let part = |value: &Value| BASE64.encode(value.to_string());
    let text = format!("{}.{}", part(&header), part(&claims));
    let signature = BASE64.encode(issuer.sign(text.as_bytes()).unwrap());
    format!("{text}.{signature}")
}
