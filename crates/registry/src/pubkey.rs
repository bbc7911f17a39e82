//! Public keys, and whether a signature is of one: ECDSA on P-256 and P-384, Ed25519, RSA from 2048 bits, all over SHA-256 as sigstore has it.
//!
//! ```text
//! SubjectPublicKeyInfo ::= SEQUENCE { algorithm SEQUENCE { OID, parameters }, key BIT STRING }      (RFC 5280, 4.1)
//! ```

use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use taru_stdx::{Context, Error, Kind, Result};

/// id-ecPublicKey with prime256v1.
const P256: &[u8] = &[
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03,
    0x01, 0x07,
];
/// id-ecPublicKey with secp384r1.
const P384: &[u8] =
    &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
/// id-Ed25519.
const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
/// rsaEncryption, with its NULL.
const RSA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

/// A public key.
pub(crate) struct PublicKey {
    algorithm: &'static dyn VerificationAlgorithm,
    key: Vec<u8>,
}

impl PublicKey {
    /// Reads one in PEM, `BEGIN PUBLIC KEY`.
    pub(crate) fn from_pem(pem: &[u8]) -> Result<PublicKey> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem)
            .context_as(Kind::Invalid, || "no public key in PEM")?;
        let broken = || Error::invalid("a public key whose DER is broken");
        let (inner, rest) = take(SEQUENCE, der.as_ref()).ok_or_else(broken)?;
        let (algorithm, inner) = take(SEQUENCE, inner).ok_or_else(broken)?;
        let (bits, after) = take(BIT_STRING, inner).ok_or_else(broken)?;
        // The first byte counts the unused bits of the last one.
        let (Some((0, key)), [], []) = (bits.split_first(), rest, after) else { return Err(broken()) };
        let algorithm: &'static dyn VerificationAlgorithm = match algorithm {
            P256 => &signature::ECDSA_P256_SHA256_ASN1,
            P384 => &signature::ECDSA_P384_SHA256_ASN1,
            ED25519 => &signature::ED25519,
            RSA => &signature::RSA_PKCS1_2048_8192_SHA256,
            _ => {
                return Err(Error::new(
                    Kind::Unsupported,
                    "a public key of another kind than ECDSA on P-256 or P-384, Ed25519 and RSA",
                ));
            }
        };
        Ok(PublicKey { algorithm, key: key.to_vec() })
    }

    /// Whether `signature` is this key's of `message`.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(self.algorithm, &self.key).verify(message, signature).is_ok()
    }
}

/// The content of the element of this tag at the start of `der`, and what follows it.
fn take(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.split_first()?;
    let (&short, rest) = rest.split_first()?;
    let (length, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        // A key has at most some kilobytes: two bytes of length.
        0x81 | 0x82 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            (bytes.iter().fold(0, |all, b| (all << 8) | usize::from(*b)), rest)
        }
        _ => return None,
    };
    if first == tag { rest.split_at_checked(length) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_refused() {
        for bad in [
            "",
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            // X25519, which signs nothing.
            "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VuAyEAmXuoZ0Hn0r1uZ0lNf0wDQ4yqo5M0cA2xkD2kEJf1Zkk=\n-----END PUBLIC KEY-----\n",
        ] {
            assert!(PublicKey::from_pem(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(take(0x30, &[0x30, 2, 1, 2, 3]), Some((&[1, 2][..], &[3][..])));
        assert_eq!(take(0x30, &[0x30, 0x81, 1, 9]), Some((&[9][..], &[][..])));
        for bad in [
            &[][..],
            &[0x30],
            &[0x30, 5, 1],
            &[0x31, 0],
            &[0x30, 0x80],
            &[0x30, 0x84, 0, 0, 0, 1, 1],
            &[0x30, 0x82, 1],
        ] {
            assert_eq!(take(0x30, bad), None);
        }
    }
}
