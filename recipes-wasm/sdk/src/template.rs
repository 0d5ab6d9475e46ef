//! Templates: text in which `{{ name }}` stands for a value.

use std::collections::BTreeMap;

/// Values by name.
pub type Values = BTreeMap<String, String>;

/// `text` with each `{{ name }}` replaced by its value. A name without a value, or braces that
/// don't close on their line, are errors that name the line: a half-filled configuration must not
/// reach a service.
pub fn render(text: &str, values: &Values) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let line = || 1 + text[..text.len() - rest.len() + start].matches('\n').count();
        let inner = &rest[start + 2..];
        let Some(end) = inner.find("}}").filter(|end| !inner[..*end].contains('\n')) else {
            return Err(format!("line {}: `{{{{` without `}}}}` on the same line", line()));
        };
        let name = inner[..end].trim();
        let Some(value) = values.get(name) else {
            let known: Vec<_> = values.keys().map(|key| format!("`{key}`")).collect();
            return Err(format!(
                "line {}: `{name}` has no value; there are {}",
                line(),
                known.join(", ")
            ));
        };
        out.push_str(&rest[..start]);
        out.push_str(value);
        rest = &inner[end + 2..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values {
        [("version", "1.2"), ("port.http", "8080")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    #[test]
    fn names_become_values() {
        let text = "v{{version}}\nlisten {{ port.http }};\n{ } }}";
        assert_eq!(render(text, &values()).unwrap(), "v1.2\nlisten 8080;\n{ } }}");
    }

    #[test]
    fn a_value_is_not_a_template() {
        let values = Values::from([("a".to_owned(), "{{ b }}".to_owned())]);
        assert_eq!(render("{{ a }}", &values).unwrap(), "{{ b }}");
    }

    #[test]
    fn mistakes_name_the_line() {
        let error = render("ok {{ version }}\n\n{{ verison }}", &values()).unwrap_err();
        assert!(error.contains("line 3") && error.contains("`verison`"), "{error}");
        let error = render("\n{{ version\n}}", &values()).unwrap_err();
        assert!(error.contains("line 2") && error.contains("without"), "{error}");
    }
}
