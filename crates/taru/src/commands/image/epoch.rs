//! `SOURCE_DATE_EPOCH` (<https://reproducible-builds.org/specs/source-date-epoch/>).

use taru_stdx::{Error, Result};

/// Its seconds after 1970, if it is set.
pub(super) fn source_date_epoch() -> Result<Option<u32>> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    text.to_str().and_then(|text| text.parse().ok()).map(Some).ok_or_else(|| {
        let text = text.to_string_lossy();
        Error::invalid(format!("read SOURCE_DATE_EPOCH: `{}` is no number of seconds", text.escape_debug()))
    })
}
