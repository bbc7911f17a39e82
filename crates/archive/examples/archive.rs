//! The library by hand, to measure and to look: `archive load|import|bootstrap|save STORE ...`.
//!
//! ```text
//! archive load STORE < FILE                 prints each image
//! archive import STORE < FILE
//! archive bootstrap STORE WHAT [VARIANT]
//! archive save STORE NAME oci|docker > FILE
//! ```

use std::io;
use std::process::ExitCode;

use taru_archive::{About, Bootstrap, Format, bootstrap, import, load, save};
use taru_content::Content;
use taru_stdx::{Error, Result};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("archive: {}", e.chain());
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<()> {
    let [verb, store, rest @ ..] = words else { return Err(Error::invalid("archive VERB STORE ...")) };
    let content = Content::open(store.as_ref())?;
    let lease = content.lease(verb)?;
    let found = match (*verb, rest) {
        ("load", []) => load(io::stdin(), &content, &lease)?
            .into_iter()
            .map(|image| (image.names, image.descriptor))
            .collect(),
        ("import", []) => vec![(Vec::new(), import(io::stdin(), &content, &lease, &About::default())?)],
        ("bootstrap", [what, variant @ ..]) => {
            let options =
                Bootstrap { variant: variant.first().map(|v| (*v).to_owned()), ..Bootstrap::default() };
            vec![(Vec::new(), bootstrap(what, &options, &content, &lease, &|line| eprintln!("{line}"))?)]
        }
        ("save", [name, format]) => {
            let name = name.parse()?;
            let image = content.resolve(&name)?.ok_or_else(|| Error::invalid("no such image"))?;
            let format = if *format == "docker" { Format::Docker } else { Format::Oci };
            return save(&mut io::stdout().lock(), &content, &[(vec![name], image)], format, &|_, _| None);
        }
        _ => return Err(Error::invalid("archive load|import|bootstrap|save STORE ...")),
    };
    for (names, descriptor) in found {
        let tags: Vec<_> = names.into_iter().map(|name| (name, descriptor.clone())).collect();
        content.tag(&tags)?;
        content.keep(std::slice::from_ref(&descriptor))?;
        println!(
            "{} {:?}",
            descriptor.digest,
            tags.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>()
        );
    }
    Ok(())
}
