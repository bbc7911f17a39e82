//! Any bytes as a manifest, an index or a configuration: refused, or written again and read as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use taru_oci::{Document, Image, media};

fuzz_target!(|bytes: &[u8]| {
    for came in ["", media::MANIFEST, media::DOCKER_INDEX] {
        let Ok(document) = Document::parse(bytes, came) else { continue };
        let text = match &document {
            Document::Manifest(manifest) => serde_json::to_vec(manifest),
            Document::Index(index) => serde_json::to_vec(index),
        };
        assert_eq!(Document::parse(&text.expect("write it again"), came).ok().as_ref(), Some(&document));
    }
    if let Ok(image) = Image::parse(bytes) {
        let text = serde_json::to_vec(&image).expect("write it again");
        assert_eq!(Image::parse(&text).ok().as_ref(), Some(&image));
    }
});
