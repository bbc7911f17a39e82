//! TLS: whom to trust and what to show, for each server.
//!
//! ```text
//! certs.d/HOST[:PORT]/*.crt           further authorities, beside the host's own
//! certs.d/HOST[:PORT]/NAME.cert       a certificate to show, with
//! certs.d/HOST[:PORT]/NAME.key        its key
//! ```
//! The first directory of [`Trust::dirs`] that knows the server is the one; that is how containers-certs.d(5) and Docker have it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring as provider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned,
};
use taru_stdx::{Context, Error, Kind, Result};

use crate::connection::Stream;
use crate::fault::{Again, Fault, Tried, is_cancelled};
use crate::url::Origin;

/// Bytes of a file of certificates; the bundle of a distribution has a quarter of it.
const FILE: u64 = 1 << 20;
/// Files in a directory of certs.d.
const FILES: usize = 64;

/// What TLS is spoken with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Server {
        /// Its certificate is not verified.
        is_insecure: bool,
    },
    /// One that is always verified.
    Proxy,
}

/// Where certificates lie, and what was made of them so far.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    dirs: Vec<PathBuf>,
    made: Mutex<HashMap<(String, bool), Arc<ClientConfig>>>,
}

impl Trust {
    pub(crate) fn new(dirs: Vec<PathBuf>) -> Trust {
        Trust { dirs, made: Mutex::default() }
    }

    /// The directory that holds the certificates for this server.
    fn dir_of(&self, origin: &Origin) -> Option<PathBuf> {
        // With the port as people write it: that of https may be left out, or not.
        let names = [origin.authority(), origin.with_port()];
        let all = self.dirs.iter().flat_map(|dir| names.iter().map(move |name| dir.join(name)));
        all.into_iter().find(|dir| dir.is_dir())
    }

    /// Whether somebody gave an authority for this server: it is to be verified then, even on loopback.
    pub(crate) fn has_authority(&self, origin: &Origin) -> bool {
        self.dir_of(origin)
            .and_then(|dir| files(&dir).ok())
            .is_some_and(|all| all.iter().any(|f| ends(f, "crt")))
    }

    /// How to speak TLS with this server; without verifying it if it `is_insecure`.
    fn config(&self, origin: &Origin, is_insecure: bool) -> Result<Arc<ClientConfig>> {
        let key = (origin.with_port(), is_insecure);
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = made.get(&key) {
            return Ok(config.clone());
        }
        let files = match self.dir_of(origin) {
            Some(dir) => files(&dir)?,
            None => Vec::new(),
        };
        let provider = Arc::new(provider::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .context(|| "choose the versions of TLS")?;
        let builder = if is_insecure {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        } else {
            let mut roots = host_roots().clone();
            for file in files.iter().filter(|file| ends(file, "crt")) {
                for certificate in certificates(file)? {
                    roots
                        .add(certificate)
                        .context(|| format!("use the authority in `{}`", file.display()))?;
                }
            }
            builder.with_root_certificates(roots)
        };
        let config = match files.iter().find(|file| ends(file, "cert")) {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let key_file = file.with_extension("key");
                let what = || format!("read the key `{}`", key_file.display());
                let bytes = taru_stdx::fs::read_bounded(&key_file, FILE).map_err(|e| {
                    e.hint(format!("the certificate `{}` is of no use without it", file.display()))
                })?;
                let key = PrivateKeyDer::from_pem_slice(&bytes).context_as(Kind::Invalid, what)?;
                builder
                    .with_client_auth_cert(certificates(file)?, key)
                    .context_as(Kind::Invalid, || format!("use the certificate `{}`", file.display()))?
            }
        };
        let config = Arc::new(config);
        made.insert(key, config.clone());
        Ok(config)
    }

    /// Begins TLS on `socket` and finishes the handshake, so that its errors are told from those of what follows.
    pub(crate) fn begin(&self, origin: &Origin, peer: Peer, mut stream: Stream) -> Tried<Stream> {
        let config = self.config(origin, peer == Peer::Server { is_insecure: true })?;
        let name = ServerName::try_from(origin.host.clone())
            .context_as(Kind::Invalid, || format!("connect to `{}`", origin.authority()))?;
        let mut tls = ClientConnection::new(config, name)
            .context(|| format!("connect to `{}` by TLS", origin.authority()))?;
        while tls.is_handshaking() {
            tls.complete_io(&mut stream).map_err(|e| match peer {
                Peer::Server { .. } => refused(origin, e),
                Peer::Proxy => refused_by_proxy(origin, e),
            })?;
        }
        Ok(Stream::Tls(Box::new(StreamOwned::new(tls, stream))))
    }
}

/// What a failed handshake means.
fn refused(origin: &Origin, e: std::io::Error) -> Fault {
    let what = format!("connect to `{}` by TLS", origin.authority());
    if is_cancelled(&e) {
        return Fault::io(what, e);
    }
    let inner = e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).cloned();
    let Some(inner) = inner else {
        // The peer hung up or said nothing: it may not know TLS.
        return Fault { is_no_tls: true, ..Fault::io(what, e) };
    };
    let host = origin.authority();
    let error = Error::new(Kind::Permission, what);
    match inner {
        rustls::Error::InvalidCertificate(_) => Fault::last(error.because(inner).hint(format!(
            "if you trust it, put its authority into /etc/containers/certs.d/{host}/ca.crt, or set `insecure = true` for it in registries.conf"
        ))),
        rustls::Error::InvalidMessage(_) => {
            let error = Error::new(Kind::Invalid, error.to_string()).because(inner);
            let error = error.hint(format!("if `{host}` speaks plain HTTP, set `insecure = true` for it in registries.conf"));
            Fault { is_no_tls: true, ..Fault::last(error) }
        }
        rustls::Error::AlertReceived(_) => Fault::last(error.because(inner).hint(format!(
            "if it wants a certificate, put it into /etc/containers/certs.d/{host}/client.cert, its key into client.key"
        ))),
        _ => Fault { again: Again::Soon(None), ..Fault::last(error.because(inner)) },
    }
}

/// What a failed handshake with a proxy means: nothing about the server behind.
fn refused_by_proxy(origin: &Origin, e: std::io::Error) -> Fault {
    let host = origin.authority();
    let what = format!("connect to the proxy `{host}` by TLS");
    let inner = e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).cloned();
    match inner {
        Some(inner @ rustls::Error::InvalidCertificate(_)) => {
            let error = Error::new(Kind::Permission, what).because(inner);
            Fault::last(error.hint(format!(
                "if you trust it, put its authority into /etc/containers/certs.d/{host}/ca.crt"
            )))
        }
        Some(inner @ rustls::Error::InvalidMessage(_)) => {
            let error = Error::new(Kind::Invalid, what).because(inner);
            Fault::last(error.hint(format!("if it speaks plain HTTP, name it `http://{host}`")))
        }
        _ => Fault::io(what, e),
    }
}

/// The host's own authorities, read once; none is no error until one is needed.
fn host_roots() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    })
}

/// The files of a directory, by name.
fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let what = || format!("read `{}`", dir.display());
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).context(what)?.take(FILES) {
        all.push(entry.context(what)?.path());
    }
    all.sort();
    Ok(all)
}

fn ends(file: &Path, with: &str) -> bool {
    file.extension().is_some_and(|e| e == with)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let what = || format!("read the certificates in `{}`", file.display());
    let bytes = taru_stdx::fs::read_bounded(file, FILE)?;
    let all: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match all.context_as(Kind::Invalid, what)? {
        all if all.is_empty() => Err(Error::invalid(format!("{}: there are none", what()))),
        all => Ok(all),
    }
}

/// Takes any certificate: what `insecure` means. Signatures are still checked, which costs nothing and finds broken peers.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
