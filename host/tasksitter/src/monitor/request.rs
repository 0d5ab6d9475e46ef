//! What a client asks: the head of an HTTP/1 request, taken apart by `httparse`.

use super::escape;

/// The longest head of a request, in bytes.
pub const LONGEST_HEAD: usize = 8192;
/// The most header lines.
const MOST_HEADERS: usize = 64;

/// A request that is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// It is asked for the head of the answer only.
    pub head_only: bool,
    /// It speaks HTTP/1.1, and so knows chunks.
    pub knows_chunks: bool,
    /// It can undo gzip by itself.
    pub takes_gzip: bool,
    /// What it asks for.
    pub path: String,
    query: Vec<(String, String)>,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no HTTP/1.
    #[error("this is no request of HTTP/1: {0}")]
    Malformed(String),
    /// Its head is too long.
    #[error(
        "the request's head is longer than {LONGEST_HEAD} bytes, or has more than {MOST_HEADERS} \
         header lines: send fewer, or shorter ones"
    )]
    TooLong,
    /// It would change something.
    #[error(
        "`{0}` is not allowed: everything here is for GET and HEAD; the task is controlled by its socket, or its agent"
    )]
    Method(String),
}

impl Request {
    /// What `bytes`, the beginning of all that a client says, ask for; none as long as their head is
    /// not complete.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, Refused> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        match parsed.parse(bytes) {
            Ok(httparse::Status::Complete(length)) if length <= LONGEST_HEAD => {}
            Ok(httparse::Status::Partial) if bytes.len() < LONGEST_HEAD => return Ok(None),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Refused::TooLong),
            Err(error) => return Err(Refused::Malformed(error.to_string())),
        }
        let method = parsed.method.unwrap_or_default();
        if !matches!(method, "GET" | "HEAD") {
            return Err(Refused::Method(method.to_owned()));
        }
        let is_1_1 = parsed.version == Some(1);
        let has = |name: &str| parsed.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name));
        if is_1_1 && has("host").is_none() {
            // RFC 9112, 3.2.
            return Err(Refused::Malformed("HTTP/1.1 has a Host header".to_owned()));
        }
        let takes_gzip = has("accept-encoding").is_some_and(|header| takes_gzip(header.value));
        let (path, query) = target(parsed.path.unwrap_or_default())?;
        let head_only = method == "HEAD";
        Ok(Some(Self { head_only, knows_chunks: is_1_1, takes_gzip, path, query }))
    }

    /// The value that it gives `name`; the empty one for a name alone.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Whether it has the flag `name`, and does not say no.
    pub fn flag(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| !matches!(value, "0" | "no" | "off" | "false"))
    }
}

fn target(target: &str) -> Result<(String, Vec<(String, String)>), Refused> {
    let wrong = |why: &str| Refused::Malformed(format!("{why} in its target"));
    // A proxy is asked with the whole address.
    let local = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    if !local.starts_with('/') {
        return Err(wrong("a path is missing"));
    }
    let (path, query) = local.split_once('?').unwrap_or((local, ""));
    let text = |part: &str| {
        escape::decode(part).ok_or_else(|| wrong("`%` does not begin two digits, or no UTF-8"))
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((text(name)?, text(value)?))
    });
    // A plus stands for a blank in queries only.
    Ok((text(&path.replace('+', "%2B"))?, pairs.collect::<Result<_, _>>()?))
}

/// Whether `Accept-Encoding` names gzip, and not with the weight of nothing.
fn takes_gzip(value: &[u8]) -> bool {
    let value = String::from_utf8_lossy(value).to_ascii_lowercase();
    value.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = matches!(parts.next(), Some("gzip" | "x-gzip" | "*"));
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.trim().parse::<f64>().ok());
        named && weight.is_none_or(|weight| weight > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(target: &str) -> Result<Option<Request>, Refused> {
        Request::parse(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
    }

    #[test]
    fn a_request_is_taken_apart() {
        let whole = b"HEAD /logfile?name=std+out%2elog&tail=3&follow&x=0 HTTP/1.0\r\n\
                      Accept-Encoding: br, GZip;q=0.5\r\n\r\nmore";
        let request = Request::parse(whole).unwrap().unwrap();
        assert!(request.head_only && !request.knows_chunks && request.takes_gzip);
        assert_eq!(request.path, "/logfile");
        assert_eq!(request.value("name"), Some("std out.log"));
        assert_eq!(request.value("tail"), Some("3"));
        assert!(request.flag("follow") && !request.flag("x") && !request.flag("pss"));
        let head = whole.len() - "more".len();
        for end in 0..head {
            assert_eq!(Request::parse(&whole[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn targets_are_paths_or_whole_addresses() {
        assert_eq!(get("http://host:1/stats?a=1").unwrap().unwrap().path, "/stats");
        assert_eq!(get("http://host").unwrap().unwrap().path, "/");
        assert_eq!(get("/a+b%20c").unwrap().unwrap().path, "/a+b c");
        for wrong in ["*", "host:80", "/%", "/?a=%ff"] {
            assert!(matches!(get(wrong), Err(Refused::Malformed(_))), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_for_here_is_refused() {
        let refused = |text: &str| Request::parse(text.as_bytes()).unwrap_err();
        assert_eq!(
            refused("POST / HTTP/1.1\r\nHost: x\r\n\r\n"),
            Refused::Method("POST".to_owned())
        );
        assert!(matches!(refused("GET / HTTP/1.1\r\n\r\n"), Refused::Malformed(_)));
        assert!(matches!(refused("\u{16}\u{3}\u{1}"), Refused::Malformed(_)));
        let long = "x".repeat(LONGEST_HEAD);
        assert_eq!(refused(&format!("GET /{long}")), Refused::TooLong);
        assert_eq!(refused(&format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n")), Refused::TooLong);
        let many = "a: b\r\n".repeat(MOST_HEADERS + 1);
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\n{many}")), Refused::TooLong);
    }

    #[test]
    fn gzip_is_taken_where_it_is_named_with_some_weight() {
        assert!(takes_gzip(b"gzip") && takes_gzip(b"br;q=1, gzip;q=0.1") && takes_gzip(b"*"));
        assert!(!takes_gzip(b"") && !takes_gzip(b"gzip;q=0") && !takes_gzip(b"br, gzipped"));
    }
}
