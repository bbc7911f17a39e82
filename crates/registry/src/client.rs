//! The client: one request to one endpoint, with whatever it takes to be answered there.
//!
//! ```text
//! persist: again after connection errors, 429 and 5xx, later each time, with jitter; a bounded number of times
//! └── call: https, or plain HTTP where that is allowed and nothing else is spoken; the answer's status becomes an error
//!     └── authorized: the grant at hand; after a 401 a new one, once
//!         └── follow: up to 5 redirects, to http(s) only, never from https to http, never with credentials to another origin
//!             └── http: one exchange
//! ```

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use taru_oci::Reference;
use taru_stdx::{Error, Kind, Result};

use crate::address::{Guard, Reach};
use crate::cancel::Cancel;
use crate::challenge::{self, Challenge};
use crate::conf::Wanted;
use crate::credentials::Credentials;
use crate::endpoint::Endpoint;
use crate::fault::{Again, Fault, Tried, said};
use crate::http::{Http, Payload, Request, Response};
use crate::settings::Settings;
use crate::socket::Patience;
use crate::tls::Trust;
use crate::token::{self, Grant};
use crate::url::{Origin, Scheme, Url};

/// Redirects in a row that a registry may make.
const HOPS: usize = 5;
/// Bytes of an answer that is an error.
const REFUSAL: u64 = 64 << 10;

/// A client of registries. Clones share connections, tokens and settings; all of it may be used by many threads.
#[derive(Clone)]
pub struct Client(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) cancel: Cancel,
    pub(crate) http: Http,
    grants: Mutex<HashMap<(String, Vec<String>), Grant>>,
    /// What insecure servers were found to speak.
    spoken: Mutex<HashMap<String, Scheme>>,
}

/// A request below an endpoint.
pub(crate) struct Call<'a> {
    pub(crate) method: &'static str,
    pub(crate) to: To,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) payload: Payload<'a>,
    pub(crate) scopes: Vec<String>,
    /// To be tried, instead of those that are kept.
    pub(crate) credentials: Option<Credentials>,
}

/// Where a call goes.
pub(crate) enum To {
    /// A path of the endpoint.
    Path(String),
    /// Where the endpoint itself said (the `Location` of an upload, the next page).
    Led(Url, Reach),
}

impl Call<'_> {
    pub(crate) fn new<'a>(method: &'static str, path: String, scope: String) -> Call<'a> {
        Call {
            method,
            to: To::Path(path),
            headers: Vec::new(),
            payload: Payload::None,
            scopes: vec![scope],
            credentials: None,
        }
    }
}

/// An answer of status 2xx, with where it came from after all redirects.
pub(crate) struct Answer {
    pub(crate) response: Response,
    /// The address that the endpoint itself was asked at, for what is relative to it.
    pub(crate) asked: Url,
    pub(crate) reach: Reach,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// A client that goes by `settings`.
    pub fn new(settings: Settings) -> Client {
        let cancel = Cancel(settings.cancel.clone());
        let patience = Patience { cancel: cancel.clone(), connect: settings.connect, stall: settings.stall };
        let http = Http::new(patience, settings.proxies.clone(), Trust::new(settings.certificates.clone()));
        Client(Arc::new(Shared {
            settings,
            cancel,
            http,
            grants: Mutex::default(),
            spoken: Mutex::default(),
        }))
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Does `once` at each endpoint that `reference` can be pulled from, until one succeeds; `what` names it in errors.
    pub(crate) fn at_any<T>(
        &self,
        reference: &Reference,
        wanted: Wanted,
        what: &str,
        mut once: impl FnMut(&Endpoint) -> Tried<T>,
    ) -> Result<T> {
        let mut errors = Vec::new();
        let endpoints = self.0.settings.registries.pull(reference, wanted)?;
        for (at, endpoint) in endpoints.iter().enumerate() {
            let retries = self.0.retries(at, endpoints.len());
            match self.0.persist_for(retries, || once(endpoint)) {
                Ok(done) => return Ok(done),
                Err(fault) if self.0.cancel.is_set() => return Err(wrap(what, reference, fault.error)),
                Err(fault) => errors.push(fault.error),
            }
        }
        let all =
            Error::all(errors).unwrap_or_else(|| Error::new(Kind::NotFound, "no registry is known for it"));
        Err(wrap(what, reference, all))
    }
}

pub(crate) fn wrap(what: &str, operand: impl std::fmt::Display, cause: Error) -> Error {
    Error::new(cause.kind(), format!("{what} `{operand}`")).because(cause)
}

impl Shared {
    /// Tries again what failed for a passing reason.
    pub(crate) fn persist<T>(&self, once: impl FnMut() -> Tried<T>) -> Tried<T> {
        self.persist_for(self.settings.retries, once)
    }

    /// How often endpoint number `at` of so many is tried again: a mirror once, as the next one may have it at once.
    pub(crate) fn retries(&self, at: usize, endpoints: usize) -> u32 {
        if at + 1 < endpoints { self.settings.retries.min(1) } else { self.settings.retries }
    }

    fn persist_for<T>(&self, retries: u32, mut once: impl FnMut() -> Tried<T>) -> Tried<T> {
        let mut tries = 0;
        loop {
            self.cancel.check()?;
            match once() {
                Err(Fault { again: Again::Soon(after), error, .. }) if tries < retries => {
                    drop(error);
                    self.pause(tries, after)?;
                    tries += 1;
                }
                done => return done,
            }
        }
    }

    /// Waits before the try after number `tries`: what the server asks for, or else longer each time, half of it random, so that
    /// clients which failed together do not come back together.
    pub(crate) fn pause(&self, tries: u32, after: Option<Duration>) -> Result<()> {
        let delay = self.settings.first_delay.saturating_mul(1 << tries.min(16));
        let random = RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64;
        let delay = delay.min(self.settings.longest_delay).mul_f64(0.5 + random / 2.0);
        let after = after.unwrap_or_default().min(self.settings.longest_delay);
        self.cancel.sleep(delay.max(after))
    }

    /// Forgets all tokens: they are of credentials that are not those any more.
    pub(crate) fn forget_grants(&self) {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether this server's certificates are not verified.
    fn is_insecure(&self, endpoint: &Endpoint, origin: &Origin) -> bool {
        let is_trusted =
            endpoint.is_insecure || (endpoint.is_loopback() && !self.http.trust.has_authority(origin));
        is_trusted && Origin::parse(origin.scheme, endpoint.host()).is_ok_and(|own| own == *origin)
    }

    /// Makes a call; an answer of another status than 2xx is a fault that says so.
    pub(crate) fn call(&self, endpoint: &Endpoint, call: &mut Call<'_>) -> Tried<Answer> {
        let known = match &call.to {
            To::Led(url, _) => Some(url.origin.scheme),
            To::Path(_) => {
                self.spoken.lock().unwrap_or_else(PoisonError::into_inner).get(&endpoint.registry).copied()
            }
        };
        if let Some(scheme) = known {
            return self.authorized(endpoint, call, scheme);
        }
        let origin = Origin::parse(Scheme::Https, endpoint.host())?;
        let may_be_plain =
            endpoint.is_insecure || endpoint.is_loopback() && !self.http.trust.has_authority(&origin);
        let (scheme, done) = match self.authorized(endpoint, call, Scheme::Https) {
            Err(fault) if fault.is_no_tls && may_be_plain => {
                match self.authorized(endpoint, call, Scheme::Http) {
                    // Nobody speaks anything there: TLS is what was wanted.
                    Err(other) if other.is_no_tls => return Err(fault),
                    done => (Scheme::Http, done),
                }
            }
            Err(fault) if fault.status.is_none() => return Err(fault),
            done => (Scheme::Https, done),
        };
        self.spoken.lock().unwrap_or_else(PoisonError::into_inner).insert(endpoint.registry.clone(), scheme);
        done
    }

    fn authorized(&self, endpoint: &Endpoint, call: &mut Call<'_>, scheme: Scheme) -> Tried<Answer> {
        let own = Origin::parse(scheme, endpoint.host())?;
        let (url, guard) = match &call.to {
            To::Path(path) => (Url::new(own.clone(), path.clone()), Guard::Named),
            // Where the endpoint led within itself is as good as itself.
            To::Led(url, _) if url.origin == own => (url.clone(), Guard::Named),
            To::Led(url, reach) => (url.clone(), Guard::Led(*reach)),
        };
        let is_own = url.origin == own;
        let key = (format!("{} {}", own.with_port(), endpoint.repository), call.scopes.clone());
        let mut is_fresh = false;
        loop {
            let grant = {
                let grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
                grants.get(&key).filter(|g| is_fresh || g.is_good()).cloned()
            };
            let mut headers = call.headers.clone();
            if let Some(grant) = grant.filter(|_| is_own && (is_fresh || call.credentials.is_none())) {
                headers.push(("Authorization", grant.header));
            }
            let payload = match &mut call.payload {
                Payload::None => Payload::None,
                Payload::Bytes(bytes) => Payload::Bytes(bytes),
                Payload::Part { source, start, length } => {
                    Payload::Part { source: &mut **source, start: *start, length: *length }
                }
            };
            let is_insecure = self.is_insecure(endpoint, &url.origin);
            let mut request =
                Request { method: call.method, url: url.clone(), headers, payload, is_insecure, guard };
            let (response, hops, reach) =
                self.follow(&mut request, HOPS, &|origin| self.is_insecure(endpoint, origin))?;
            let status = response.head.status;
            if (200..300).contains(&status) {
                return Ok(Answer { response, asked: url, reach });
            }
            let who = match hops {
                0 => endpoint.registry.clone(),
                _ => format!("{}, where {} leads", request.url.origin.authority(), endpoint.registry),
            };
            if status == 401 && hops == 0 && is_own {
                let challenges: Vec<Challenge> =
                    response.head.all("www-authenticate").flat_map(challenge::parse).collect();
                let reach = response.reach;
                let refusal = refusal_of(&who, response);
                self.grants.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
                if is_fresh || challenges.is_empty() {
                    return Err(with_login_hint(refusal, endpoint, call));
                }
                match self.grant(endpoint, &own, reach, &challenges, call)? {
                    Some(grant) => {
                        self.grants.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), grant);
                    }
                    None => return Err(with_login_hint(refusal, endpoint, call)),
                }
                is_fresh = true;
                continue;
            }
            return Err(refusal_of(&who, response));
        }
    }

    /// Sends `request` and goes where up to `hops` redirects lead, without credentials where that is another server; returns how many
    /// there were, and how far from the Internet the first server was.
    pub(crate) fn follow(
        &self,
        request: &mut Request<'_>,
        hops: usize,
        is_insecure: &dyn Fn(&Origin) -> bool,
    ) -> Tried<(Response, usize, Reach)> {
        let mut first = None;
        for hop in 0..=hops {
            let response = self.http.exchange(request)?;
            let first = *first.get_or_insert(response.reach);
            let is_redirect = matches!(response.head.status, 301 | 302 | 303 | 307 | 308);
            let location = response.head.get("location").filter(|_| is_redirect).map(str::to_owned);
            let Some(location) = location else { return Ok((response, hop, first)) };
            let host = request.url.origin.authority();
            if !matches!(request.method, "GET" | "HEAD") {
                return Err(Fault::last(Error::new(
                    Kind::Unsupported,
                    format!("{host}: a redirect of a `{}` request, which is not followed", request.method),
                )));
            }
            let what = || format!("follow the redirect of `{host}`");
            let next = request
                .url
                .join(&location)
                .map_err(|e| Fault::last(Error::new(e.kind(), what()).because(e)))?;
            if request.url.origin.scheme == Scheme::Https && next.origin.scheme == Scheme::Http {
                let text = format!("{} to `{next}`: it leads from https to http", what());
                return Err(Fault::last(Error::new(Kind::Permission, text)));
            }
            if next.origin != request.url.origin {
                // Credentials are for whom they were given to.
                request.headers.retain(|(name, _)| *name != "Authorization");
                request.is_insecure = is_insecure(&next.origin);
                request.guard = Guard::Led(match (first, response.reach) {
                    (Reach::Public, _) | (_, Reach::Public) => Reach::Public,
                    _ => Reach::Private,
                });
            }
            response.body.finish();
            request.url = next;
        }
        let host = request.url.origin.authority();
        Err(Fault::last(Error::new(Kind::Limit, format!("{host}: more than {hops} redirects"))))
    }

    /// What satisfies one of `challenges`, if anything does.
    fn grant(
        &self,
        endpoint: &Endpoint,
        own: &Origin,
        reach: Reach,
        challenges: &[Challenge],
        call: &Call<'_>,
    ) -> Tried<Option<Grant>> {
        let credentials = match &call.credentials {
            Some(credentials) => Some(credentials.clone()),
            None => self.settings.keyring.find(&endpoint.registry, &endpoint.repository, &self.cancel)?,
        };
        if let Some(Credentials::Bearer(token)) = &credentials {
            return Ok(Some(Grant { header: format!("Bearer {token}"), until: None }));
        }
        let bearer = challenges.iter().find_map(|c| match c {
            Challenge::Bearer { realm, service, scope } => Some((realm, service, scope)),
            Challenge::Basic => None,
        });
        let Some((realm, service, scope)) = bearer else {
            return Ok(match credentials {
                Some(Credentials::Password { user, password }) => Some(Grant::basic(&user, &password)),
                _ => None,
            });
        };
        let what = || format!("get a token for `{}`", endpoint.registry);
        let realm = Url::parse(realm).map_err(|e| Fault::last(Error::new(e.kind(), what()).because(e)))?;
        if own.scheme == Scheme::Https && realm.origin.scheme == Scheme::Http {
            let text = format!("{}: its token server `{realm}` is without TLS", what());
            return Err(Fault::last(Error::new(Kind::Permission, text)));
        }
        // Ours, and what else the registry thinks this takes.
        let mut all = call.scopes.clone();
        for word in scope.as_deref().unwrap_or_default().split_ascii_whitespace() {
            let subject = |s: &str| s.rsplit_once(':').map(|(subject, _)| subject.to_owned());
            if !all.iter().any(|own| own == word || (subject(own).is_some() && subject(own) == subject(word)))
            {
                all.push(word.to_owned());
            }
        }
        let ask = token::ask(realm, service.as_deref(), &all, credentials.as_ref());
        let host = ask.url.origin.authority();
        let form = ask.form;
        let mut request = Request::new(ask.method, ask.url);
        request.guard = if request.url.origin == *own { Guard::Named } else { Guard::Led(reach) };
        request.is_insecure = self.is_insecure(endpoint, &request.url.origin);
        request.headers.extend(ask.authorization.map(|value| ("Authorization", value)));
        if ask.method == "POST" {
            request.headers.push(("Content-Type", "application/x-www-form-urlencoded".to_owned()));
            request.payload = Payload::Bytes(form.as_bytes());
        }
        let is_insecure = |origin: &Origin| self.is_insecure(endpoint, origin);
        let within = |fault: Fault| Fault {
            error: Error::new(fault.error.kind(), what()).because(fault.error),
            is_no_tls: false,
            ..fault
        };
        let (response, _, _) = self.follow(&mut request, HOPS, &is_insecure).map_err(within)?;
        let status = response.head.status;
        if !(200..300).contains(&status) {
            let fault = refusal_of(&host, response);
            let fault =
                if status == 401 || status == 403 { with_login_hint(fault, endpoint, call) } else { fault };
            return Err(within(fault));
        }
        let bytes = response
            .body
            .bounded(token::ANSWER)
            .map_err(|e| within(Fault::io(format!("ask `{host}`"), e)))?;
        token::read(&host, &bytes).map(Some)
    }
}

/// An answer that is an error, of `host`, a registry or what it leads to.
fn refusal_of(host: &str, response: Response) -> Fault {
    let fault = refused(host, response);
    if fault.status != Some(429) {
        return fault;
    }
    let hint = "the registry limits how much one may pull; logging in may raise it";
    Fault { error: fault.error.hint(hint), ..fault }
}

/// An answer that is an error, of any `host`.
pub(crate) fn refused(host: &str, response: Response) -> Fault {
    let status = response.head.status;
    let again = match status {
        408 | 429 | 500 | 502 | 503 | 504 => Again::Soon(response.head.retry_after(SystemTime::now())),
        _ => Again::Never,
    };
    let reason = response.head.reason.clone();
    let body = response.body.bounded(REFUSAL).unwrap_or_default();
    let error = said(host, status, &reason, &body);
    Fault { again, status: Some(status), ..Fault::last(error) }
}

fn with_login_hint(fault: Fault, endpoint: &Endpoint, call: &Call) -> Fault {
    let hint = match call.credentials {
        // Somebody is logging in.
        Some(_) => "check the user and the password".to_owned(),
        None => format!("if it exists and is not public: taru login {}", endpoint.registry),
    };
    Fault { error: fault.error.hint(hint), ..fault }
}
