//! `manifest.json`: what Docker's archives say of their images.

use serde::Deserialize;
use taru_oci::limits;
use taru_stdx::{Error, Kind, Result};

/// An image of the archive (moby, image/tarexport). Other fields (`Parent`, `LayerSources`) say nothing that is needed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Item {
    /// The path of its configuration.
    pub(crate) config: String,
    /// Its names; none for an image without.
    pub(crate) repo_tags: Option<Vec<String>>,
    /// The paths of its layers, the lowest first.
    pub(crate) layers: Option<Vec<String>>,
}

/// Reads `manifest.json`.
///
/// # Errors
/// [`Kind::Invalid`] if it is none; [`Kind::Limit`] above a bound.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Item>> {
    let what = "read `manifest.json`";
    let items: Vec<Item> = serde_json::from_slice(bytes).map_err(|e| Error::invalid(what).because(e))?;
    if items.len() > limits::ARCHIVE_IMAGES {
        return Err(Error::new(Kind::Limit, format!("{what}: {} images", items.len())));
    }
    if let Some(count) =
        items.iter().filter_map(|i| Some(i.layers.as_ref()?.len())).find(|n| *n > limits::LAYERS)
    {
        let text = format!("{what}: an image of {count} layers, at most {}", limits::LAYERS);
        return Err(Error::new(Kind::Limit, text));
    }
    if items.is_empty() {
        return Err(Error::invalid(format!("{what}: no image")));
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reading_or_none() {
        let items = parse(br#"[{"Config":"c","RepoTags":null,"Layers":["l"],"Parent":"x"}]"#).unwrap();
        assert_eq!((items[0].config.as_str(), items[0].layers.as_ref().unwrap().len()), ("c", 1));
        let deep = [b"[".repeat(2_000_000), b"]".repeat(2_000_000)].concat();
        for bad in
            [&b"{}"[..], b"", b"[]", br#"[{"Config":"c","Config":"d"}]"#, br#"[{"RepoTags":[]}]"#, &deep]
        {
            assert_eq!(parse(bad).unwrap_err().kind(), Kind::Invalid);
        }
        let unknown = [br#"[{"Config":"c","x":"#.as_slice(), &deep, b"}]"].concat();
        let _ = parse(&unknown);
        let many = format!(r#"[{{"Config":"c","Layers":[{}""]}}]"#, r#""l","#.repeat(600));
        assert_eq!(parse(many.as_bytes()).unwrap_err().kind(), Kind::Limit);
    }
}
