//! Proxies: which one a request takes, and how it is asked.
//!
//! The variables are those of curl(1) and Go: `HTTPS_PROXY` and `HTTP_PROXY` by the scheme of the request, else
//! `ALL_PROXY`, the lower-case name before the upper-case one, and `NO_PROXY`, a list of
//! `*`, `HOST`, `.DOMAIN`, `ADDRESS`, `ADDRESS/BITS`, each with an optional `:PORT`. This host itself is never reached by a proxy.
//! A proxy is `http://[USER:PASSWORD@]HOST:PORT`, `https://...` or `socks5://...`; names are left for it to resolve. One of
//! `https://` is spoken to by TLS and verified as a server is, by [`crate::tls`].

use std::io::{self, BufReader, Read, Write};
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use taru_stdx::{Error, Kind, Result};

use crate::connection::Stream;
use crate::fault::{Fault, Tried};
use crate::message::{Head, write_head};
use crate::url::{Origin, Scheme, Url, unescape};

/// The proxies of an environment.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    except: Vec<String>,
}

/// One proxy.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    kind: Speaks,
    /// Where it is; by https if it is spoken to by TLS.
    pub(crate) origin: Origin,
    user: Option<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Http,
    Socks5,
}

impl std::fmt::Debug for Proxy {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tls = if self.origin.scheme == Scheme::Https { " by TLS" } else { "" };
        write!(f, "{:?}{tls} {}", self.kind, self.origin.with_port())
    }
}

impl Proxies {
    /// Reads the variables, which `variable` looks up.
    ///
    /// # Errors
    /// [`Kind::Invalid`] and [`Kind::Unsupported`] for a proxy that cannot be used, with the variable.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Proxies> {
        let either = |name: &str| {
            let names = [name.to_ascii_lowercase(), name.to_owned()];
            // A CGI server makes HTTP_PROXY of a request's header (CVE-2016-5385).
            let is_cgi = variable("REQUEST_METHOD").is_some();
            let names = names.into_iter().filter(|n| !(is_cgi && n == "HTTP_PROXY"));
            names.filter_map(|n| variable(&n).map(|v| (n, v))).find(|(_, v)| !v.trim().is_empty())
        };
        let proxy = |name: &str| -> Result<Option<Proxy>> {
            match either(name).or_else(|| either("ALL_PROXY")) {
                None => Ok(None),
                Some((name, value)) => match Proxy::parse(value.trim()) {
                    Ok(proxy) => Ok(Some(proxy)),
                    Err(e) => Err(Error::new(e.kind(), format!("use the proxy in ${name}")).because(e)),
                },
            }
        };
        let except = either("NO_PROXY").map(|(_, v)| v).unwrap_or_default();
        let words = except.split([',', ' ']).map(|w| w.trim().to_ascii_lowercase());
        Ok(Proxies {
            http: proxy("HTTP_PROXY")?,
            https: proxy("HTTPS_PROXY")?,
            except: words.filter(|w| !w.is_empty()).collect(),
        })
    }

    /// The proxy on the way to `origin`.
    pub(crate) fn to(&self, origin: &Origin) -> Option<&Proxy> {
        let proxy = match origin.scheme {
            Scheme::Http => self.http.as_ref(),
            Scheme::Https => self.https.as_ref(),
        }?;
        let is_here = origin.host == "localhost" || origin.ip().is_some_and(|ip| ip.is_loopback());
        let is_excepted = is_here || self.except.iter().any(|word| excepts(word, origin));
        (!is_excepted).then_some(proxy)
    }
}

/// Whether a word of `NO_PROXY` means `origin`.
fn excepts(word: &str, origin: &Origin) -> bool {
    if word == "*" {
        return true;
    }
    if let Some((net, bits)) = word.split_once('/') {
        let (Ok(net), Ok(bits), Some(ip)) = (net.parse::<IpAddr>(), bits.parse::<u32>(), origin.ip()) else {
            return false;
        };
        return is_within(ip, net, bits);
    }
    if let Ok(address) = word.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        return origin.ip() == Some(address);
    }
    let (name, port) = match word.rsplit_once(':') {
        Some((name, port)) => (name, port.parse::<u16>().ok()),
        None => (word, None),
    };
    if port.is_some_and(|port| port != origin.port) {
        return false;
    }
    let name = name.trim_start_matches("*.").trim_start_matches('.');
    origin.host == name || origin.host.strip_suffix(name).is_some_and(|front| front.ends_with('.'))
}

fn is_within(ip: IpAddr, net: IpAddr, bits: u32) -> bool {
    let (ip, net, width) = match (ip, net) {
        (IpAddr::V4(ip), IpAddr::V4(net)) => (u128::from(u32::from(ip)), u128::from(u32::from(net)), 32),
        (IpAddr::V6(ip), IpAddr::V6(net)) => (u128::from(ip), u128::from(net), 128),
        _ => return false,
    };
    let Some(rest) = u32::checked_sub(width, bits) else { return false };
    ip.checked_shr(rest).unwrap_or(0) == net.checked_shr(rest).unwrap_or(0)
}

impl Proxy {
    fn parse(text: &str) -> Result<Proxy> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let (kind, carrier) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (Speaks::Http, "http"),
            "https" => (Speaks::Http, "https"),
            "socks5" | "socks5h" => (Speaks::Socks5, "http"),
            other => {
                return Err(Error::new(
                    Kind::Unsupported,
                    format!("speak `{}` with a proxy", other.escape_debug()),
                )
                .hint("http://, https:// and socks5:// are known"));
            }
        };
        let (url, user) = Url::parse_with_user(&format!("{carrier}://{rest}"))?;
        let user = user.map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((&user, ""));
            (unescape(name), unescape(password))
        });
        let mut origin = url.origin;
        // 80 stands for "none given" here; nobody runs SOCKS on it.
        if kind == Speaks::Socks5 && origin.port == 80 {
            origin.port = 1080;
        }
        Ok(Proxy { kind, origin, user })
    }

    /// Whether plain requests go to the proxy itself, with the whole address in their first line.
    pub(crate) fn takes_requests(&self) -> bool {
        self.kind == Speaks::Http
    }

    /// The header that plain requests by this proxy carry.
    pub(crate) fn authorization(&self) -> Option<String> {
        let (name, password) = self.user.as_ref()?;
        Some(format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))))
    }

    /// Has the proxy connect `stream` through to `origin`.
    pub(crate) fn tunnel(&self, stream: &mut Stream, origin: &Origin) -> Tried<()> {
        let what = || format!("reach `{}` by the proxy `{}`", origin.with_port(), self.origin.with_port());
        let answer = match self.kind {
            Speaks::Http => self.connect(stream, origin)?,
            Speaks::Socks5 => self.socks(stream, origin).map_err(|e| Fault::io(what(), e))?,
        };
        match answer {
            None => Ok(()),
            Some(why) => {
                Err(Fault::passing(Error::new(Kind::System, what()).because(Error::new(Kind::System, why))))
            }
        }
    }

    /// RFC 9110, 9.3.6. Returns why not, if not.
    fn connect(&self, stream: &mut Stream, origin: &Origin) -> Tried<Option<String>> {
        let to = origin.with_port();
        let authorization = self.authorization();
        let mut headers = vec![("Host", to.as_str())];
        if let Some(value) = &authorization {
            headers.push(("Proxy-Authorization", value));
        }
        let mut request = Vec::new();
        write_head(&mut request, "CONNECT", &to, &headers)?;
        let mut exchange = || -> io::Result<Head> {
            stream.write_all(&request)?;
            stream.flush()?;
            // Byte by byte: what follows the head belongs to the server behind.
            Head::read(&mut BufReader::with_capacity(1, &mut *stream))
        };
        let head =
            exchange().map_err(|e| Fault::io(format!("ask the proxy `{}`", self.origin.with_port()), e))?;
        Ok((!(200..300).contains(&head.status)).then(|| format!("{} {}", head.status, head.reason)))
    }

    /// RFC 1928 and RFC 1929. Returns why not, if not.
    fn socks(&self, stream: &mut Stream, origin: &Origin) -> io::Result<Option<String>> {
        const NONE: u8 = 0;
        const PASSWORD: u8 = 2;
        let offered: &[u8] = if self.user.is_some() { &[5, 2, NONE, PASSWORD] } else { &[5, 1, NONE] };
        stream.write_all(offered)?;
        let mut choice = [0; 2];
        stream.read_exact(&mut choice)?;
        match (choice, &self.user) {
            ([5, NONE], _) => {}
            ([5, PASSWORD], Some((name, password))) => {
                let mut message = vec![1];
                for word in [name, password] {
                    let Ok(length) = u8::try_from(word.len()) else {
                        return Ok(Some("the user or password is longer than 255 bytes".into()));
                    };
                    message.push(length);
                    message.extend_from_slice(word.as_bytes());
                }
                stream.write_all(&message)?;
                let mut answer = [0; 2];
                stream.read_exact(&mut answer)?;
                if answer[1] != 0 {
                    return Ok(Some("it refuses the user and password".into()));
                }
            }
            ([5, 0xff], _) => return Ok(Some("it wants a way to log in that is not known".into())),
            _ => return Ok(Some("it does not speak SOCKS 5".into())),
        }
        let mut message = vec![5, 1, 0];
        match origin.ip() {
            Some(IpAddr::V4(v4)) => {
                message.push(1);
                message.extend_from_slice(&v4.octets());
            }
            Some(IpAddr::V6(v6)) => {
                message.push(4);
                message.extend_from_slice(&v6.octets());
            }
            None => {
                message.push(3);
                message.push(u8::try_from(origin.host.len()).unwrap_or(u8::MAX));
                message.extend_from_slice(origin.host.as_bytes());
            }
        }
        message.extend_from_slice(&origin.port.to_be_bytes());
        stream.write_all(&message)?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer)?;
        let why = match answer[1] {
            0 => None,
            2 => Some("its rules forbid it"),
            3 => Some("the network is unreachable"),
            4 => Some("the host is unreachable"),
            5 => Some("the connection was refused"),
            _ => Some("it failed"),
        };
        if why.is_some() {
            return Ok(why.map(str::to_owned));
        }
        // The address it bound, of no use here.
        let rest = match answer[3] {
            1 => 4,
            4 => 16,
            3 => {
                let mut length = [0; 1];
                stream.read_exact(&mut length)?;
                usize::from(length[0])
            }
            _ => return Ok(Some("it does not speak SOCKS 5".into())),
        };
        stream.read_exact(&mut vec![0; rest + 2])?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies> {
        let variables: Vec<(String, String)> =
            variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Proxies::from_variables(|name| variables.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()))
    }

    fn chosen(proxies: &Proxies, url: &str) -> Option<String> {
        proxies.to(&Url::parse(url).unwrap().origin).map(|p| format!("{p:?}"))
    }

    #[test]
    fn the_environment_chooses() {
        let p = proxies(&[
            ("https_proxy", "http://u:p%40ss@proxy:3128"),
            ("HTTPS_PROXY", "http://other:1"),
            ("ALL_PROXY", "socks5://socks"),
            ("NO_PROXY", "intern.example, .corp:5000,10.0.0.0/8,192.168.1.1,fd00::/8"),
        ])
        .unwrap();
        assert_eq!(chosen(&p, "https://quay.io/").unwrap(), "Http proxy:3128");
        assert_eq!(chosen(&p, "http://quay.io/").unwrap(), "Socks5 socks:1080");
        assert_eq!(p.https.as_ref().unwrap().user, Some(("u".into(), "p@ss".into())));
        for direct in [
            "https://intern.example/",
            "https://a.intern.example/",
            "https://x.corp:5000/",
            "https://10.2.3.4/",
            "https://192.168.1.1/",
            "http://localhost:5000/",
            "http://127.0.0.1:5000/",
            "https://[::1]/",
            "https://[fd00::1]/",
        ] {
            assert_eq!(chosen(&p, direct), None, "{direct}");
        }
        for through in ["https://xintern.example/", "https://x.corp/", "https://11.0.0.1/"] {
            assert!(chosen(&p, through).is_some(), "{through}");
        }
        assert_eq!(
            chosen(&proxies(&[("ALL_PROXY", "http://p:1"), ("NO_PROXY", "*")]).unwrap(), "https://a.b/"),
            None
        );
        assert_eq!(
            chosen(&proxies(&[("HTTP_PROXY", "p:1"), ("REQUEST_METHOD", "GET")]).unwrap(), "http://a.b/"),
            None
        );
        let p = proxies(&[("HTTPS_PROXY", "https://u:pw@p"), ("HTTP_PROXY", "https://p:80")]).unwrap();
        assert_eq!(chosen(&p, "https://quay.io/").unwrap(), "Http by TLS p:443");
        assert_eq!(chosen(&p, "http://quay.io/").unwrap(), "Http by TLS p:80");
        let e = proxies(&[("HTTPS_PROXY", "quic://u:secret@p")]).unwrap_err();
        assert_eq!(e.kind(), Kind::Unsupported);
        assert!(!e.chain().to_string().contains("secret"));
    }
}
