//! Documents made to be misunderstood (T91), deep ones (T79), cut and garbled ones (T81).

use taru_oci::{Document, Image, limits, media};
use taru_stdx::Kind;

const D: &str = r#"{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}"#;

fn refused(text: &str, came: &str) -> Kind {
    match Document::parse(text.as_bytes(), came) {
        Err(e) => e.kind(),
        Ok(document) => panic!("taken: {}: {document:?}", &text[..text.len().min(300)]),
    }
}

fn manifest(fields: &str) -> String {
    format!(r#"{{"schemaVersion":2,"config":{D},"layers":[{D}]{fields}}}"#)
}

fn config(fields: &str) -> String {
    format!(r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":[]}}{fields}}}"#)
}

#[test]
fn t91_a_manifest_that_is_an_index_too() {
    for fields in [
        format!(r#","manifests":[{D}]"#),
        r#","manifests":[]"#.into(),
        r#","fsLayers":[]"#.into(),
        r#","history":[]"#.into(),
    ] {
        let text = manifest(&fields);
        for came in ["", media::MANIFEST, media::INDEX, media::DOCKER_MANIFEST, "text/html"] {
            assert!([Kind::Invalid, Kind::Unsupported].contains(&refused(&text, came)), "{fields} {came}");
        }
    }
    for neither in ["{}", r#"{"schemaVersion":2}"#, r#"{"schemaVersion":2,"layers":[]}"#] {
        assert_eq!(refused(neither, ""), Kind::Invalid);
    }
    // Nothing says which one an empty list is of.
    assert_eq!(refused(r#"{"schemaVersion":2,"manifests":null}"#, ""), Kind::Invalid);
    assert_eq!(refused(&format!(r#"{{"schemaVersion":2,"config":{D}}}"#), ""), Kind::Invalid);
}

#[test]
fn t91_a_type_that_is_not_its_own() {
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{D}]}}"#);
    for came in [media::MANIFEST, media::DOCKER_MANIFEST, media::CONFIG, media::LAYER, "application/x"] {
        assert_eq!(refused(&index, came), Kind::Invalid, "{came}");
    }
    for came in [media::INDEX, media::DOCKER_INDEX, media::CONFIG, "application/x"] {
        assert_eq!(refused(&manifest(""), came), Kind::Invalid, "{came}");
    }
    // It came as one and calls itself another, even if both are manifests.
    let docker = manifest(&format!(r#","mediaType":"{}""#, media::DOCKER_MANIFEST));
    assert_eq!(refused(&docker, media::MANIFEST), Kind::Invalid);
    assert_eq!(
        refused(&manifest(r#","mediaType":"application/vnd.oci.image.index.v1+json""#), ""),
        Kind::Invalid
    );
    // A layer that is to be read as a manifest.
    for inner in [media::MANIFEST, media::INDEX, media::DOCKER_MANIFEST, media::DOCKER_SCHEMA1] {
        let text = manifest("").replace(media::CONFIG, inner);
        assert_eq!(refused(&text, media::MANIFEST), Kind::Invalid, "{inner}");
    }
    assert_eq!(refused(&manifest(""), media::DOCKER_SCHEMA1_SIGNED), Kind::Unsupported);
}

#[test]
fn t91_keys_that_stand_twice() {
    let other = D.replace("\"size\":0", "\"size\":1");
    for fields in [
        format!(r#","layers":[{other}]"#),
        format!(r#","Layers":[{other}]"#),
        format!(r#","LAYERS":[{other}]"#),
        format!(r#","lay\u0065rs":[{other}]"#),
        // Go folds these two letters to s and k.
        format!(r#","layer{}":[{other}]"#, '\u{17f}'),
        r#","Manifests":null"#.into(),
        r#","MediaType":"application/vnd.oci.image.index.v1+json""#.into(),
        r#","annotations":{"a":"1","a":"2"}"#.into(),
        // Nobody here reads these; somebody else might.
        r#","x":1,"x":2"#.into(),
        r#","x":{"y":[{"z":1,"z":2}]}"#.into(),
    ] {
        assert_eq!(refused(&manifest(&fields), ""), Kind::Invalid, "{fields}");
    }
    for descriptor in [r#""size":0,"size":1"#, r#""size":0,"Size":1"#, r#""size":0,"digest":"sha256:00""#] {
        let text = manifest("").replace("\"size\":0", descriptor);
        assert_eq!(refused(&text, ""), Kind::Invalid, "{descriptor}");
    }
    for fields in [
        r#","os":"windows""#,
        r#","OS":"windows""#,
        r#","config":{"User":"0","user":"1"}"#,
        r#","config":{"Env":[],"ENV":["LD_PRELOAD=x"]}"#,
        r#","config":{"Labels":{"a":"1","a":"2"}}"#,
        r#","RootFS":{"type":"layers","diff_ids":[]}"#,
        r#","history":[{"empty_layer":true,"Empty_Layer":false}]"#,
    ] {
        assert_eq!(Image::parse(config(fields).as_bytes()).unwrap_err().kind(), Kind::Invalid, "{fields}");
    }
    // Keys that are data may differ by their case.
    let labels = config(r#","config":{"Labels":{"a":"1","A":"2"}}"#);
    assert_eq!(Image::parse(labels.as_bytes()).unwrap().config.unwrap().labels.unwrap().len(), 2);
}

#[test]
fn layers_and_diff_ids_are_as_many() {
    let image = Image::parse(config("").as_bytes()).unwrap();
    assert!(image.agree_with(0).is_ok());
    assert_eq!(image.agree_with(1).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn numbers_and_digests_that_are_none() {
    for size in ["-1", "1.5", "1e3", "9223372036854775808", "18446744073709551615", "\"1\"", "null"] {
        let text = manifest("").replace("\"size\":0", &format!("\"size\":{size}"));
        assert_eq!(refused(&text, ""), Kind::Invalid, "{size}");
    }
    for digest in ["", "sha256:", "sha256:E3B0", "md5:d41d8cd98f00b204e9800998ecf8427e", "../../etc/passwd"] {
        let text = manifest("")
            .replace("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", digest);
        assert_eq!(refused(&text, ""), Kind::Invalid, "{digest}");
    }
    for version in ["0", "3", "-2", "2.0", "\"2\"", "null", "4294967298"] {
        let text = manifest("").replace("\"schemaVersion\":2", &format!("\"schemaVersion\":{version}"));
        assert_eq!(refused(&text, ""), Kind::Invalid, "{version}");
    }
}

#[test]
fn more_than_anybody_needs() {
    let many = |count: usize, entry: &str| vec![entry; count].join(",");
    let layers = format!(r#"{{"schemaVersion":2,"config":{D},"layers":[{}]}}"#, many(limits::LAYERS + 1, D));
    assert_eq!(refused(&layers, ""), Kind::Invalid);
    let entries = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, many(limits::INDEX_ENTRIES + 1, D));
    assert_eq!(refused(&entries, ""), Kind::Invalid);
    let annotations: Vec<String> = (0..=limits::ANNOTATIONS).map(|n| format!(r#""{n}":"""#)).collect();
    let annotations = annotations.join(",");
    assert_eq!(refused(&manifest(&format!(r#","annotations":{{{annotations}}}"#)), ""), Kind::Invalid);
    assert_eq!(refused(&" ".repeat(limits::MANIFEST as usize + 1), ""), Kind::Limit);
    for fields in [
        format!(r#","config":{{"Env":[{}]}}"#, many(limits::ENTRIES + 1, r#""""#)),
        format!(r#","history":[{}]"#, many(limits::ENTRIES + 1, "{}")),
        format!(r#","config":{{"Labels":{{{annotations}}}}}"#),
    ] {
        assert_eq!(Image::parse(config(&fields).as_bytes()).unwrap_err().kind(), Kind::Invalid);
    }
    let large = config(&" ".repeat(limits::CONFIG as usize));
    assert_eq!(Image::parse(large.as_bytes()).unwrap_err().kind(), Kind::Limit);
}

#[test]
fn t79_depth_is_an_error_and_no_overflow() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"[{"a":["#, "]}]")] {
        for depth in [100, 1000, 400_000] {
            let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            refused(&deep, "");
            refused(&open.repeat(depth), "");
            refused(&manifest(&format!(r#","x":{deep}"#)), "");
            assert!(Image::parse(config(&format!(r#","x":{deep}"#)).as_bytes()).is_err());
            assert!(Image::parse(deep.as_bytes()).is_err());
        }
    }
}

#[test]
fn t81_cut_and_garbled() {
    let whole = [
        manifest(r#","annotations":{"a":"b"},"subject":null"#),
        format!(
            r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
            D.replace("\"size\"", r#""platform":{"os":"linux","architecture":"arm","variant":"v7"},"size""#)
        ),
        config(
            r#","config":{"Env":["A=b"],"Volumes":{"/":{}},"Healthcheck":{"Test":["NONE"]}},"history":[{}]"#,
        ),
    ];
    for text in &whole {
        for end in 0..text.len() {
            assert!(Document::parse(&text.as_bytes()[..end], "").is_err(), "{end}");
            assert!(Image::parse(&text.as_bytes()[..end]).is_err(), "{end}");
        }
    }
    // Any bytes are read or refused; xorshift, so that a failure is seen again.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let bits = b"{}[]\",:\\u0000nulltruefalse0123456789.eE+-\xff\xc3\x28 \n";
    for _ in 0..5_000 {
        let mut bytes = whole[random(whole.len())].clone().into_bytes();
        for _ in 0..1 + random(4) {
            let at = random(bytes.len());
            match random(3) {
                0 => bytes[at] = bits[random(bits.len())],
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, bits[random(bits.len())]),
            }
        }
        if let Ok(document) = Document::parse(&bytes, "") {
            // What is taken is taken again as it is written.
            let text = match &document {
                Document::Manifest(manifest) => serde_json::to_vec(manifest),
                Document::Index(index) => serde_json::to_vec(index),
            };
            assert_eq!(Document::parse(&text.unwrap(), "").unwrap(), document);
        }
        if let Ok(image) = Image::parse(&bytes) {
            assert_eq!(Image::parse(&serde_json::to_vec(&image).unwrap()).unwrap(), image);
        }
        let noise: Vec<u8> = (0..random(200)).map(|_| random(256) as u8).collect();
        assert!(Document::parse(&noise, "").is_err());
        assert!(Image::parse(&noise).is_err());
    }
}
