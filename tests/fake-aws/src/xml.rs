//! XML, written.

use std::fmt::Write;

/// An element under construction, or several beside each other.
#[derive(Debug, Default)]
pub(crate) struct Xml(String);

impl Xml {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// `<name>text</name>`
    pub(crate) fn text(mut self, name: &str, text: &str) -> Self {
        let _ = write!(self.0, "<{name}>");
        for character in text.chars() {
            match character {
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '&' => self.0.push_str("&amp;"),
                '"' => self.0.push_str("&quot;"),
                other => self.0.push(other),
            }
        }
        let _ = write!(self.0, "</{name}>");
        self
    }

    /// The same, if there is a text.
    pub(crate) fn some(self, name: &str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(name, text),
            None => self,
        }
    }

    /// `<name>` around others.
    pub(crate) fn within(mut self, name: &str, inner: Self) -> Self {
        let _ = write!(self.0, "<{name}>{}</{name}>", inner.0);
        self
    }

    /// `<name>` around one `<item>` for each.
    pub(crate) fn items(
        self,
        name: &str,
        item: &str,
        inner: impl IntoIterator<Item = Self>,
    ) -> Self {
        let all = inner.into_iter().fold(Self::new(), |all, inner| all.within(item, inner));
        self.within(name, all)
    }

    /// Both beside each other.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.push_str(&other.0);
        self
    }

    /// As a document whose root has a namespace.
    pub(crate) fn document(self, root: &str, namespace: &str) -> String {
        let head = r#"<?xml version="1.0" encoding="UTF-8"?>"#;
        format!("{head}\n<{root} xmlns=\"{namespace}\">{}</{root}>", self.0)
    }
}
