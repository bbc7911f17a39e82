//! Logging in and out.

use taru_stdx::Result;

use crate::client::{Call, Client, wrap};
use crate::credentials::Credentials;

impl Client {
    /// Whether `registry` answers and lets us in.
    fn ping(&self, registry: &str, credentials: &Credentials) -> Result<()> {
        let endpoint = self.0.settings.registries.registry(registry)?;
        let asked = self.0.persist(|| {
            let mut call = Call::new("GET", "/v2/".to_owned(), String::new());
            call.scopes.clear();
            call.credentials = Some(credentials.clone());
            self.0.call(&endpoint, &mut call)?.response.body.finish();
            Ok(())
        });
        asked.map_err(|fault| wrap("log in to", registry, fault.error))
    }

    /// Keeps `credentials` for `registry`, if it accepts them.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Permission`] if it does not; as [`Client::resolve`]; if they cannot be kept.
    pub fn login(&self, registry: &str, credentials: &Credentials) -> Result<()> {
        self.ping(registry, credentials)?;
        let endpoint = self.0.settings.registries.registry(registry)?;
        self.0.settings.keyring.store(&endpoint.registry, credentials, &self.0.cancel)?;
        self.0.forget_grants();
        Ok(())
    }

    /// Forgets the credentials for `registry`; tells whether there were any.
    ///
    /// # Errors
    /// A file that cannot be read or written; a helper that fails.
    pub fn logout(&self, registry: &str) -> Result<bool> {
        let endpoint = self.0.settings.registries.registry(registry)?;
        self.0.forget_grants();
        self.0.settings.keyring.erase(&endpoint.registry, &self.0.cancel)
    }
}
