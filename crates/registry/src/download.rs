//! A file from anywhere on the web: what a build adds by its address.

use std::io::Read;

use taru_stdx::{Context, Error, Kind, Result};

use crate::client::Client;
use crate::fault::{Fault, Tried};
use crate::http::Request;
use crate::url::Url;

/// Redirects in a row.
const HOPS: usize = 10;

/// A file that is being fetched.
pub struct Download {
    body: Box<dyn Read + Send>,
    /// Bytes, where the server said it.
    pub length: Option<u64>,
    /// When it was changed, seconds since 1970, where the server said it.
    pub modified: Option<i64>,
    /// The last part of the address's path, as the person wrote it.
    pub name: Option<String>,
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.body.read(buffer)
    }
}

impl std::fmt::Debug for Download {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Download").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Client {
    /// Begins to fetch `url`, by http or https, without any credentials; redirects are followed, but not from https to http.
    ///
    /// # Errors
    /// [`Kind::NotFound`] and others by the server's answer; [`Kind::Invalid`] for what is no address.
    pub fn download(&self, url: &str) -> Result<Download> {
        let what = || format!("fetch `{}`", url.split(['?', '#']).next().unwrap_or_default());
        let address = Url::parse(url)?;
        let path = address.target.split('?').next().unwrap_or_default();
        let name = path.rsplit('/').next().filter(|n| !n.is_empty()).map(crate::url::unescape);
        let mut download =
            self.0.persist(|| self.follow(&address)).map_err(|fault| fault.error).context(what)?;
        download.name = name;
        Ok(download)
    }

    fn follow(&self, address: &Url) -> Tried<Download> {
        let mut at = address.clone();
        for _ in 0..=HOPS {
            let response = self.0.http.exchange(&mut Request::new("GET", at.clone()))?;
            let head = &response.head;
            match head.status {
                200 => {
                    return Ok(Download {
                        length: response.body.length(),
                        modified: head.get("last-modified").and_then(http_date),
                        name: None,
                        body: Box::new(response.body),
                    });
                }
                301 | 302 | 303 | 307 | 308 => {
                    let to = head.get("location").unwrap_or_default().to_owned();
                    let next = at.join(&to).map_err(Fault::last)?;
                    if at.origin.scheme.name() == "https" && next.origin.scheme.name() == "http" {
                        let text = format!("follow to `{next}`: from https to http");
                        return Err(Fault::last(Error::new(Kind::Permission, text)));
                    }
                    at = next;
                }
                status => {
                    let kind = match status {
                        404 | 410 => Kind::NotFound,
                        401 | 403 => Kind::Permission,
                        _ => Kind::System,
                    };
                    let reason = head.reason.escape_debug().to_string();
                    let error =
                        Error::new(kind, format!("`{}` says {status} {reason}", at.origin.authority()));
                    return Err(if status >= 500 { Fault::passing(error) } else { Fault::last(error) });
                }
            }
        }
        Err(Fault::last(Error::new(Kind::Limit, format!("more than {HOPS} redirects"))))
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7) as seconds since 1970.
fn http_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = text.split_once(", ")?.1.split(' ').collect();
    let [day, month, year, time, "GMT"] = words[..] else { return None };
    let (day, year) =
        (day.parse::<i64>().ok()?, year.parse::<i64>().ok().filter(|y| (1970..9999).contains(y))?);
    let month = i64::try_from(MONTHS.iter().position(|m| *m == month)?).ok()? + 1;
    let mut clock = time.split(':').map(str::parse::<i64>);
    let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    // Days since the first of March of the year 0: leap days are last then.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::http_date;

    #[test]
    fn dates_of_servers_are_read() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(http_date("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
        assert_eq!(http_date("yesterday"), None);
    }
}
