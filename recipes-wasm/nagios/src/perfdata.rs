//! Performance data as the Monitoring Plugins' guidelines define it:
//! `'label'=value[UOM];[warn];[crit];[min];[max]`, separated by spaces.

/// A figure of a plugin, in base units.
#[derive(Debug, Clone, PartialEq)]
pub struct Datum {
    /// Its name; `<label>_warn` and so on for its bounds.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// `s`, `B`, `%`, `c` (a counter), a unit that is not known, or empty.
    pub unit: String,
}

/// What a plugin wrote.
#[derive(Debug, PartialEq)]
pub struct Output {
    /// The first line, up to the first `|`.
    pub message: String,
    /// The figures of all lines.
    pub data: Vec<Datum>,
}

/// Reads what a plugin wrote. Of the first line, what follows `|` is data; further lines are text
/// up to one with a `|`, and after it only data.
pub fn read(text: &str) -> Output {
    let mut lines = text.lines();
    let (message, first) = split(lines.next().unwrap_or_default());
    let mut data = parse(first.unwrap_or_default());
    let mut only_data = false;
    for line in lines {
        let of = if only_data { Some(line) } else { split(line).1 };
        only_data |= of.is_some();
        data.extend(parse(of.unwrap_or_default()));
    }
    Output { message: message.trim().to_owned(), data }
}

fn split(line: &str) -> (&str, Option<&str>) {
    match line.split_once('|') {
        Some((text, data)) => (text, Some(data)),
        None => (line, None),
    }
}

/// The figures of one piece. One that makes no sense is left out: the plugin's word on the state
/// counts even if a figure of it does not. A value `U` is one that could not be measured.
fn parse(text: &str) -> Vec<Datum> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let Some((label, after)) = label(rest) else {
            rest = rest.split_once(char::is_whitespace).map_or("", |(_, after)| after.trim_start());
            continue;
        };
        let end = after.find(char::is_whitespace).unwrap_or(after.len());
        datum(&label, &after[..end], &mut found);
        rest = after[end..].trim_start();
    }
    found
}

/// A label, with quotes taken off, and what follows its `=`.
fn label(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('\'') else {
        let (label, after) = text.split_once('=')?;
        let plain = !label.is_empty() && !label.contains(char::is_whitespace);
        return plain.then(|| (label.to_owned(), after));
    };
    let (mut label, mut rest) = (String::new(), quoted);
    loop {
        let end = rest.find('\'')?;
        label.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        // A quote within a label is written twice.
        match rest.strip_prefix('\'') {
            Some(after) => {
                label.push('\'');
                rest = after;
            }
            None => return Some((label, rest.strip_prefix('=')?)),
        }
    }
}

fn datum(label: &str, text: &str, found: &mut Vec<Datum>) {
    let mut fields = text.split(';');
    let value = fields.next().unwrap_or_default();
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '-' | '+');
    let mut end = value.find(|c| !is_number(c)).unwrap_or(value.len());
    // An exponent, such as in `1.5e-05s`.
    if let Some(exponent) = value[end..].strip_prefix(['e', 'E']) {
        let sign = usize::from(exponent.starts_with(['-', '+']));
        let digits = exponent[sign..].bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            end += 1 + sign + digits;
        }
    }
    let Some(number) = number(&value[..end]) else { return };
    let (factor, unit) = base(&value[end..]);
    let mut push = |name: String, value: f64| {
        found.push(Datum { name, value: value * factor, unit: unit.to_owned() });
    };
    push(label.to_owned(), number);
    for (field, bound) in fields.zip(["warn", "crit", "min", "max"]) {
        // A range such as `10:20` is no single figure: its upper end is where the alarm begins.
        let field = field.trim_start_matches('@');
        let field = field.split_once(':').map_or(field, |(low, high)| match high.is_empty() {
            true => low,
            false => high,
        });
        if let Some(bounded) = self::number(field) {
            push(format!("{label}_{bound}"), bounded);
        }
    }
}

fn number(text: &str) -> Option<f64> {
    // Some plugins write the comma of their locale.
    text.replace(',', ".").parse().ok().filter(|number: &f64| number.is_finite())
}

/// What to multiply by, and the base unit.
fn base(unit: &str) -> (f64, &str) {
    match unit {
        "s" | "B" | "%" | "c" | "" => (1.0, unit),
        "ms" => (1e-3, "s"),
        "us" | "µs" => (1e-6, "s"),
        "ns" => (1e-9, "s"),
        "min" | "m" => (60.0, "s"),
        "h" => (3600.0, "s"),
        "d" => (86_400.0, "s"),
        "b" => (1.0, "b"),
        // As the plugins have it: 1024 at each step.
        "kB" | "KB" | "KiB" => (1024.0, "B"),
        "MB" | "MiB" => (1_048_576.0, "B"),
        "GB" | "GiB" => (1_073_741_824.0, "B"),
        "TB" | "TiB" => (1_099_511_627_776.0, "B"),
        other => (1.0, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(text: &str) -> Vec<(String, f64, String)> {
        parse(text).into_iter().map(|d| (d.name, d.value, d.unit)).collect()
    }

    fn one(name: &str, value: f64, unit: &str) -> (String, f64, String) {
        (name.to_owned(), value, unit.to_owned())
    }

    #[test]
    fn a_figure_comes_with_its_bounds_in_base_units() {
        let expected = [
            one("time", 0.0125, "s"),
            one("time_warn", 0.1, "s"),
            one("time_crit", 0.5, "s"),
            one("time_min", 0.0, "s"),
        ];
        assert_eq!(figures("time=12.5ms;100;500;0;"), expected);
        assert_eq!(figures("size=2kB;;;;4")[1], one("size_max", 4096.0, "B"));
        assert_eq!(figures("t=1.5e-05s"), [one("t", 1.5e-05, "s")]);
    }

    #[test]
    fn labels_may_be_quoted() {
        let found = figures("'C:\\ it''s %'=70%;80;90 'a=b'=1 /=5MB");
        assert_eq!(found[0], one("C:\\ it's %", 70.0, "%"));
        assert!(found.contains(&one("a=b", 1.0, "")));
        assert!(found.contains(&one("/", 5_242_880.0, "B")));
    }

    #[test]
    fn ranges_give_the_end_where_the_alarm_begins() {
        let found = figures("load=3;10:20;@5:;~:8");
        assert_eq!(
            found[1..],
            [one("load_warn", 20.0, ""), one("load_crit", 5.0, ""), one("load_min", 8.0, ""),]
        );
    }

    #[test]
    fn what_makes_no_sense_is_left_out() {
        assert_eq!(figures("x=U;1;2 what 'open=1"), []);
        assert_eq!(figures("x= y=abc z=1"), [one("z", 1.0, "")]);
        assert_eq!(figures("noise a=2"), [one("a", 2.0, "")]);
    }

    #[test]
    fn data_stands_on_the_first_line_and_after_a_later_bar() {
        let output = read("DISK OK - free | /=1MB\nlong text a=9\nmore | b=2\nc=3 d=4\n");
        assert_eq!(output.message, "DISK OK - free");
        let names: Vec<_> = output.data.iter().map(|datum| datum.name.as_str()).collect();
        assert_eq!(names, ["/", "b", "c", "d"]);
        assert_eq!(read(""), Output { message: String::new(), data: vec![] });
    }
}
