//! Whether a policy accepts an image, with the signatures that lie beside it in the registry. No other server is asked.

use taru_oci::{Descriptor, Document, Reference};
use taru_stdx::fs::read_bounded;
use taru_stdx::{Context, Error, Kind, Result};

use crate::client::Client;
use crate::policy::{Key, Policy, Requirement};
use crate::pubkey::PublicKey;
use crate::{identity::Identity, signature};

/// Signatures of one image that are looked at.
const SIGNATURES: usize = 64;
/// Bytes of a signed document.
const PAYLOAD: u64 = 1 << 20;
/// Bytes of a file with a key.
const KEY: u64 = 64 << 10;

impl Policy {
    /// Fails unless the image `descriptor`, which `reference` was resolved to, meets all that the policy requires.
    ///
    /// # Errors
    /// [`Kind::Permission`] if it does not; [`Kind::Unsupported`] for a requirement of a kind that is not known here; what
    /// fetching signatures or reading keys fails with.
    pub fn check(&self, client: &Client, reference: &Reference, descriptor: &Descriptor) -> Result<()> {
        self.check_any(client, reference, std::slice::from_ref(descriptor))
    }

    /// As [`Policy::check`], of an image of several platforms: `descriptors` are its index and the manifest that was chosen of it, of which
    /// either may be signed, as the index names the manifest by its digest.
    ///
    /// # Errors
    /// As [`Policy::check`].
    pub fn check_any(
        &self,
        client: &Client,
        reference: &Reference,
        descriptors: &[Descriptor],
    ) -> Result<()> {
        let whose = || match &self.file {
            Some(file) => format!("the policy in {}", file.display()),
            None => "the policy".to_owned(),
        };
        let what = || format!("accept `{reference}`");
        for requirement in self.requirements(reference) {
            match requirement {
                Requirement::Anything => {}
                Requirement::Nothing => {
                    let because = Error::new(Kind::Permission, format!("{} rejects it", whose()));
                    return Err(Error::new(Kind::Permission, what()).because(because));
                }
                Requirement::Unknown(kind) => {
                    let text =
                        format!("{} requires `{}`, which is not known here", whose(), kind.escape_debug());
                    let because = Error::new(Kind::Unsupported, text);
                    return Err(Error::new(Kind::Unsupported, what())
                        .because(because)
                        .hint("known are insecureAcceptAnything, reject, and sigstoreSigned with keys"));
                }
                Requirement::Sigstore { keys, identity } => {
                    let keys = keys.iter().map(read_key).collect::<Result<Vec<_>>>().context(what)?;
                    signed(client, reference, descriptors, &keys, identity).context(what)?;
                }
            }
        }
        Ok(())
    }
}

fn read_key(key: &Key) -> Result<PublicKey> {
    match key {
        Key::File(path) => {
            let pem = read_bounded(path, KEY)?;
            PublicKey::from_pem(&pem).context(|| format!("read the key `{}`", path.display()))
        }
        Key::Data(pem) => PublicKey::from_pem(pem).context(|| "read the key in the policy"),
    }
}

/// Looks for one good signature of one of `descriptors`.
fn signed(
    client: &Client,
    reference: &Reference,
    descriptors: &[Descriptor],
    keys: &[PublicKey],
    identity: &Identity,
) -> Result<()> {
    let mut reasons: Vec<String> = Vec::new();
    for image in descriptors {
        let tagged = reference.with_tag(&signature::tag(&image.digest))?;
        let manifest = match client.resolve_plainly(&tagged) {
            Err(e) if e.kind() == Kind::NotFound => continue,
            Err(e) => return Err(e),
            Ok(resolved) => match resolved.document {
                Document::Manifest(manifest) => manifest,
                Document::Index(_) => {
                    return Err(Error::invalid(format!("read the signatures in `{tagged}`: an index")));
                }
            },
        };
        let layers = manifest.layers.iter().filter_map(|layer| Some((layer, signature::of_layer(layer)?)));
        for (layer, bytes) in layers.take(SIGNATURES) {
            if layer.size > PAYLOAD {
                reasons.push(format!("one of {} bytes", layer.size));
                continue;
            }
            let payload = client.fetch_document(&tagged, layer)?;
            match signature::check(keys, identity, reference, &image.digest, &payload, &bytes) {
                Ok(()) => return Ok(()),
                Err(why) => reasons.push(why),
            }
        }
    }
    if reasons.is_empty() {
        return Err(Error::new(Kind::Permission, "the policy wants a signature, and it has none"));
    }
    let text =
        format!("none of its {} signatures is what the policy wants: {}", reasons.len(), reasons.join("; "));
    Err(Error::new(Kind::Permission, text))
}
