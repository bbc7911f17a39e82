//! What docker, buildkit, podman, kaniko, ko and others write is read, whatever else stands in it.

use taru_oci::{Document, Image, Platform, media};

const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn manifest(text: &str, came: &str) -> taru_oci::Manifest {
    match Document::parse(text.replace("DIGEST", D).as_bytes(), came) {
        Ok(Document::Manifest(manifest)) => *manifest,
        other => panic!("{other:?}"),
    }
}

fn index(text: &str, came: &str) -> taru_oci::Index {
    match Document::parse(text.replace("DIGEST", D).as_bytes(), came) {
        Ok(Document::Index(index)) => *index,
        other => panic!("{other:?}"),
    }
}

fn image(text: &str) -> Image {
    Image::parse(text.replace("DIGEST", D).as_bytes()).unwrap_or_else(|e| panic!("{}", e.chain()))
}

#[test]
fn manifests() {
    // docker push
    let docker = manifest(
        r#"{
   "schemaVersion": 2,
   "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
   "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 7023, "digest": "DIGEST"},
   "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": 32654, "digest": "DIGEST"}]
}"#,
        media::DOCKER_MANIFEST,
    );
    assert_eq!((docker.layers.len(), docker.config.size), (1, 7023));
    // docker, an image from scratch; Go writes a nil slice so
    let scratch = r#"{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",
        "config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":2,"digest":"DIGEST","urls":null,
        "annotations":null,"platform":null},"layers":null,"annotations":null}"#;
    assert!(manifest(scratch, "").layers.is_empty());
    // An old docker, whose registry answers with the type it was asked for; both lists there, one of them null.
    let both = r#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,
        "digest":"DIGEST"},"layers":[],"manifests":null,"subject":null,"artifactType":""}"#;
    assert!(manifest(both, media::MANIFEST).layers.is_empty());
    // ORAS: an artifact with the empty configuration, whose bytes stand in the descriptor
    let artifact = manifest(
        r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
        "artifactType":"application/vnd.acme.rocket.config","config":{"mediaType":"application/vnd.oci.empty.v1+json",
        "digest":"DIGEST","size":2,"data":"e30="},"layers":[{"mediaType":"application/vnd.oci.empty.v1+json",
        "digest":"DIGEST","size":2,"data":"e30=","annotations":{"org.opencontainers.image.title":"a","A":"b","a":"c"}}],
        "subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":1,"digest":"DIGEST"}}"#,
        media::MANIFEST,
    );
    assert_eq!(artifact.artifact_type.as_deref(), Some("application/vnd.acme.rocket.config"));
    assert_eq!(artifact.layers[0].annotations.len(), 3);
    assert!(artifact.subject.is_some());
    // helm: layers nobody can unpack, but a registry's client copies them
    let helm = r#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"DIGEST",
        "size":117},"layers":[{"mediaType":"application/vnd.cncf.helm.chart.content.v1.tar+gzip","digest":"DIGEST",
        "size":2487}]}"#;
    assert_eq!(media::layer(&manifest(helm, "").layers[0].media_type), media::Layer::Unknown);
}

#[test]
fn indexes() {
    // buildkit: an attestation beside the image
    let buildkit = index(
        r#"{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
        {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "DIGEST", "size": 480,
         "platform": {"architecture": "amd64", "os": "linux"}},
        {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "DIGEST", "size": 566,
         "annotations": {"vnd.docker.reference.digest": "DIGEST", "vnd.docker.reference.type": "attestation-manifest"},
         "platform": {"architecture": "unknown", "os": "unknown"}}]}"#,
        media::INDEX,
    );
    let chosen = buildkit.choose(&"linux/amd64".parse::<Platform>().unwrap()).unwrap();
    assert_eq!(chosen.size, 480);
    // docker manifest create, Windows among them; features as Go writes none
    let list = index(
        r#"{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json","manifests":[
        {"mediaType":"application/vnd.docker.distribution.manifest.v2+json","size":1,"digest":"DIGEST",
         "platform":{"architecture":"amd64","os":"windows","os.version":"10.0.17763.1","os.features":null,
         "features":["sse4"]}},
        {"mediaType":"application/vnd.docker.distribution.manifest.v2+json","size":2,"digest":"DIGEST",
         "platform":{"architecture":"arm","os":"linux","variant":"v7"}}]}"#,
        media::DOCKER_INDEX,
    );
    assert_eq!(list.manifests[0].platform.as_ref().unwrap().os_version.as_deref(), Some("10.0.17763.1"));
    // No referrers: an empty list, or null from Go
    for none in ["[]", "null"] {
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":{none}}}"#
        );
        assert!(index(&text, media::INDEX).manifests.is_empty());
    }
    // umoci and skopeo into a layout
    let layout = r#"{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",
        "digest":"DIGEST","size":1,"annotations":{"org.opencontainers.image.ref.name":"latest"}}]}"#;
    assert_eq!(index(layout, "application/octet-stream").manifests.len(), 1);
}

#[test]
fn configurations() {
    // docker commit, before 20.10: the container's configuration beside the image's, and Go's nulls
    let docker = image(
        r##"{"architecture":"amd64","config":{"Hostname":"","Domainname":"","User":"","AttachStdin":false,
        "AttachStdout":false,"AttachStderr":false,"ExposedPorts":{"80/tcp":{},"53/udp":null},"Tty":false,"OpenStdin":false,
        "StdinOnce":false,"Env":null,"Cmd":["nginx","-g","daemon off;"],"ArgsEscaped":true,"Image":"sha256:x",
        "Volumes":{"/data":{}},"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":{"maintainer":"x","b":null},
        "StopSignal":"SIGQUIT","Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":30000000000,"Timeout":0}},
        "container":"0123","container_config":{"Hostname":"a","Cmd":["/bin/sh","-c","#(nop) "],"Env":["A=b"]},
        "created":"2020-09-10T12:23:04.592837841Z","docker_version":"18.09.7","history":[{"created":
        "2020-09-09T01:38:02.334927351Z","created_by":"/bin/sh -c #(nop) ADD file:x in / "},{"empty_layer":true}],
        "os":"linux","rootfs":{"type":"layers","diff_ids":["DIGEST"]}}"##,
    );
    let config = docker.config.unwrap();
    assert_eq!((config.env, config.entrypoint), (None, None));
    assert_eq!(config.exposed_ports.unwrap().len(), 2);
    assert_eq!(config.labels.unwrap()["b"], "");
    assert_eq!(config.healthcheck.unwrap().interval, Some(30_000_000_000));
    assert_eq!(docker.history.unwrap().len(), 2);
    // From scratch, by Go: no layer, no history
    let scratch = image(
        r#"{"architecture":"amd64","config":{"Env":["PATH=/"],"OnBuild":null},"created":null,"history":null,
        "os":"linux","rootfs":{"type":"layers","diff_ids":null}}"#,
    );
    assert!(scratch.rootfs.diff_ids.is_empty());
    scratch.agree_with(0).unwrap();
    // buildkit: what it needs for itself
    image(
        r#"{"architecture":"arm64","config":{"Env":["A=b"],"WorkingDir":"/","User":null},"created":"2024-01-01T00:00:00Z",
        "history":[{"created":"2024-01-01T00:00:00Z","created_by":"RUN true # buildkit","comment":"buildkit.dockerfile.v0",
        "empty_layer":true}],"moby.buildkit.buildinfo.v1":"e30=","moby.buildkit.cache.v0":{"a":[1,{"b":null}]},
        "os":"linux","rootfs":{"type":"layers","diff_ids":["DIGEST"]},"variant":"v8"}"#,
    );
    // podman: times with a zone, an author
    image(
        r#"{"created":"2023-05-05T10:11:12.1+02:00","author":"me","architecture":"amd64","os":"linux","config":{"Cmd":
        ["sh"],"Labels":{"io.buildah.version":"1.28.2"},"StopSignal":"15"},"rootfs":{"type":"layers","diff_ids":
        ["DIGEST"]},"history":[{"created":"2023-05-05T10:11:12Z","created_by":"/bin/sh","author":"me"}]}"#,
    );
    // kaniko, ko and distroless (bazel): times of zero, empty containers
    image(
        r#"{"architecture":"amd64","author":"github.com/ko-build/ko","created":"1970-01-01T00:00:00Z","history":
        [{"author":"ko","created":"0001-01-01T00:00:00Z","created_by":"ko build ko://x","comment":"kodata contents"}],
        "os":"linux","rootfs":{"type":"layers","diff_ids":["DIGEST"]},"config":{"Entrypoint":["/ko-app/x"],"Env":
        ["KO_DATA_PATH=/var/run/ko"],"User":"65532","Volumes":null,"Shell":["/bin/sh"]}}"#,
    );
    // cosign: nobody says what it was built for
    let signature = image(
        r#"{"architecture":"","created":"0001-01-01T00:00:00Z","history":[{"created":"0001-01-01T00:00:00Z"}],"os":"",
        "rootfs":{"type":"layers","diff_ids":["DIGEST"]},"config":{}}"#,
    );
    assert_eq!(signature.architecture, "");
}

#[test]
fn what_is_written_again_is_the_same() {
    let text = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Env":["A=b"],"Volumes":{{"/d":{{}}}},"Labels":{{"a":"b"}}}},"rootfs":{{"type":"layers","diff_ids":["{D}"]}}}}"#
    );
    let image = Image::parse(text.as_bytes()).unwrap();
    assert_eq!(serde_json::to_string(&image).unwrap(), text);
    assert_eq!(Image::parse(serde_json::to_string(&image).unwrap().as_bytes()).unwrap(), image);
}
