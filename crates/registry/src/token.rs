//! Tokens: what a registry's token server gives for credentials, or for none.
//!
//! ```text
//! registry: 401, WWW-Authenticate: Bearer realm="https://auth/token",service="s",scope="repository:a:pull"
//! GET  https://auth/token?service=s&scope=...   [Authorization: Basic ...]              user and password, or nobody
//! POST https://auth/token   grant_type=refresh_token&service=s&scope=...&refresh_token=...   identity token
//!      -> {"token" or "access_token": .., "expires_in": 60}
//! ```

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use taru_stdx::{Error, Kind};

use crate::credentials::Credentials;
use crate::fault::{Fault, Tried};
use crate::url::{Url, escape};

/// Bytes of a token server's answer.
pub(crate) const ANSWER: u64 = 1 << 20;
/// What a token lives if nobody says (distribution specification).
const LIFE: u64 = 60;
/// So much before its end a token is not used any more.
const MARGIN: Duration = Duration::from_secs(5);

/// A value for `Authorization`, and until when it is good.
#[derive(Clone)]
pub(crate) struct Grant {
    pub(crate) header: String,
    pub(crate) until: Option<Instant>,
}

impl Grant {
    pub(crate) fn is_good(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }

    /// User and password themselves.
    pub(crate) fn basic(user: &str, password: &str) -> Grant {
        Grant { header: format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))), until: None }
    }
}

/// A request for a token.
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) url: Url,
    pub(crate) authorization: Option<String>,
    /// A form, for POST.
    pub(crate) form: String,
}

/// How to ask `realm` for a token of `scopes`.
pub(crate) fn ask(
    realm: Url,
    service: Option<&str>,
    scopes: &[String],
    credentials: Option<&Credentials>,
) -> Ask {
    if let Some(Credentials::Identity(token)) = credentials {
        let mut form = String::from("grant_type=refresh_token&client_id=taru");
        let scope = scopes.join(" ");
        for (name, value) in
            [("service", service.unwrap_or_default()), ("scope", &scope), ("refresh_token", token)]
        {
            form.push_str(&format!("&{name}={}", escape(value)));
        }
        return Ask { method: "POST", url: realm, authorization: None, form };
    }
    let mut url = realm;
    if let Some(service) = service {
        url = url.with("service", service);
    }
    for scope in scopes {
        url = url.with("scope", scope);
    }
    let authorization = match credentials {
        Some(Credentials::Password { user, password }) => {
            url = url.with("account", user).with("client_id", "taru");
            Some(Grant::basic(user, password).header)
        }
        _ => None,
    };
    Ask { method: "GET", url, authorization, form: String::new() }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    expires_in: Option<f64>,
}

/// Reads what the token server at `host` answered.
pub(crate) fn read(host: &str, bytes: &[u8]) -> Tried<Grant> {
    let bad = |why: &str| Fault::last(Error::new(Kind::Invalid, format!("get a token of `{host}`: {why}")));
    // Without the parser's words: they may quote the token.
    let answer: Answer = serde_json::from_slice(bytes).map_err(|_| bad("the answer is not its document"))?;
    let token = if answer.token.is_empty() { answer.access_token } else { answer.token };
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(bad("the answer has no token"));
    }
    let life = match answer.expires_in {
        Some(seconds) if seconds.is_finite() => Duration::from_secs((seconds.clamp(0.0, 86_400.0)) as u64),
        _ => Duration::from_secs(LIFE),
    };
    // One that lives shorter than the margin is used once.
    let until = Instant::now() + life.saturating_sub(MARGIN);
    Ok(Grant { header: format!("Bearer {token}"), until: Some(until) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_credentials_has_its_way() {
        let realm = || Url::parse("https://auth/token?x=1").unwrap();
        let scopes = vec!["repository:a/b:pull".to_owned(), "repository:c:pull".to_owned()];
        let nobody = ask(realm(), Some("s t"), &scopes, None);
        assert_eq!(
            nobody.url.target,
            "/token?x=1&service=s%20t&scope=repository%3Aa%2Fb%3Apull&scope=repository%3Ac%3Apull"
        );
        assert_eq!((nobody.method, nobody.authorization), ("GET", None));
        let somebody = Credentials::Password { user: "u".into(), password: "p".into() };
        assert_eq!(ask(realm(), None, &[], Some(&somebody)).authorization.unwrap(), "Basic dTpw");
        let identity = ask(realm(), Some("s"), &scopes, Some(&Credentials::Identity("t&=".into())));
        assert_eq!(identity.method, "POST");
        assert!(
            identity
                .form
                .ends_with("&scope=repository%3Aa%2Fb%3Apull%20repository%3Ac%3Apull&refresh_token=t%26%3D")
        );
        assert_eq!(read("h", br#"{"access_token":"abc","expires_in":300}"#).unwrap().header, "Bearer abc");
        assert!(!read("h", br#"{"token":"abc","expires_in":1}"#).unwrap().is_good());
        for bad in ["", "{}", "{\"token\":\"a\\r\\nb\"}", "[]"] {
            assert!(read("h", bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
