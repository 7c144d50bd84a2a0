//! Holds the sources to the layer rule: `oauth` ← `transport` ← `manager` ← `node`, an arrow points
//! at what may be imported. It reads text, not the compiler's view, so that code behind any feature
//! is seen; comments and literals do not count.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The dependencies that a layer may use.
struct Layer {
    name: &'static str,
    /// The other layers that it may import.
    imports: &'static [&'static str],
    /// Words that may not occur in it: crates, and what only the lowest or highest layer may do.
    banned: &'static [&'static str],
    /// Modules of `std` that it may not name.
    banned_std: &'static [&'static str],
}

/// Every layer there is. A source file outside these folders is a fault, `lib.rs` excepted.
const LAYERS: [Layer; 4] = [
    Layer {
        name: "oauth",
        imports: &[],
        banned: &[
            "tokio",
            "rustls",
            "hyper",
            "hyper_util",
            "napi",
            "napi_derive",
            "unsafe",
            "async",
            "Instant",
        ],
        banned_std: &["env", "fs", "io", "net", "process", "thread"],
    },
    Layer {
        name: "transport",
        imports: &["oauth"],
        banned: &["napi", "napi_derive", "unsafe"],
        banned_std: &[],
    },
    Layer {
        name: "manager",
        imports: &["oauth", "transport"],
        banned: &["rustls", "hyper", "hyper_util", "napi", "napi_derive", "unsafe"],
        banned_std: &["net"],
    },
    Layer {
        name: "node",
        imports: &["oauth", "transport", "manager"],
        banned: &["hyper", "hyper_util"],
        banned_std: &[],
    },
];

/// A token: a word, or one character of punctuation.
#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Mark(char),
}

/// The source as tokens, without comments, literals and lifetimes.
fn tokens(source: &str) -> Vec<Token> {
    let mut rest = source.chars().peekable();
    let mut out = Vec::new();
    while let Some(c) = rest.next() {
        match c {
            '/' if rest.peek() == Some(&'/') => while rest.next().is_some_and(|c| c != '\n') {},
            '/' if rest.peek() == Some(&'*') => skip_block_comment(&mut rest),
            '"' => skip_quoted(&mut rest, '"'),
            '\'' => skip_character_or_lifetime(&mut rest),
            c if is_word(c) => {
                let mut word = String::from(c);
                while let Some(c) = rest.next_if(|&c| is_word(c)) {
                    word.push(c);
                }
                let is_raw_prefix = matches!(word.as_str(), "r" | "br" | "cr");
                match rest.peek() {
                    Some('"' | '#') if is_raw_prefix => skip_raw(&mut rest),
                    _ => out.push(Token::Word(word)),
                }
            }
            c if c.is_whitespace() => {}
            c => out.push(Token::Mark(c)),
        }
    }
    out
}

type Source<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn skip_block_comment(rest: &mut Source<'_>) {
    let mut depth = 1_u32;
    rest.next();
    while depth > 0 {
        match rest.next() {
            Some('/') if rest.next_if_eq(&'*').is_some() => depth = depth.saturating_add(1),
            Some('*') if rest.next_if_eq(&'/').is_some() => depth = depth.saturating_sub(1),
            Some(_) => {}
            None => return,
        }
    }
}

fn skip_quoted(rest: &mut Source<'_>, end: char) {
    while let Some(c) = rest.next() {
        if c == end {
            return;
        }
        if c == '\\' {
            rest.next();
        }
    }
}

/// After an `r`: the body of a raw string, or nothing if it is a raw identifier.
fn skip_raw(rest: &mut Source<'_>) {
    let mut hashes = 0_usize;
    while rest.next_if_eq(&'#').is_some() {
        hashes = hashes.saturating_add(1);
    }
    if rest.next_if_eq(&'"').is_none() {
        return;
    }
    while let Some(c) = rest.next() {
        if c == '"' {
            let mut seen = 0_usize;
            while seen < hashes && rest.next_if_eq(&'#').is_some() {
                seen = seen.saturating_add(1);
            }
            if seen == hashes {
                return;
            }
        }
    }
}

/// `'a'` and `'\n'` are characters, `'a` is a lifetime.
fn skip_character_or_lifetime(rest: &mut Source<'_>) {
    match rest.next() {
        Some('\\') => {
            rest.next();
            skip_quoted(rest, '\'');
        }
        Some(c) if is_word(c) && rest.next_if_eq(&'\'').is_none() => {
            while rest.next_if(|&c| is_word(c)).is_some() {}
        }
        // The end of a word character was taken by the guard above.
        Some(c) if is_word(c) => {}
        Some(_) => {
            rest.next_if_eq(&'\'');
        }
        None => {}
    }
}

/// The words that follow `{root}::`, those of a group `{root}::{a, b::c}` included. `*` stands for
/// a glob, and for `use {root} as …`.
fn below(tokens: &[Token], root: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if *token != Token::Word(root.to_owned()) {
            continue;
        }
        match tokens.get(at.saturating_add(1)..).unwrap_or_default() {
            [Token::Mark(':'), Token::Mark(':'), rest @ ..] => match rest {
                [Token::Word(word), ..] => found.push(word.clone()),
                [Token::Mark('*'), ..] => found.push("*".to_owned()),
                [Token::Mark('{'), group @ ..] => found.extend(group_heads(group)),
                _ => {}
            },
            [Token::Word(word), ..] if word == "as" => found.push("*".to_owned()),
            _ => {}
        }
    }
    found
}

/// The first words of the members of a group in braces.
fn group_heads(group: &[Token]) -> Vec<String> {
    let mut heads = Vec::new();
    let mut depth = 0_u32;
    let mut starts = true;
    for token in group {
        match token {
            Token::Mark('{') => depth = depth.saturating_add(1),
            Token::Mark('}') if depth == 0 => break,
            Token::Mark('}') => depth = depth.saturating_sub(1),
            Token::Mark(',') if depth == 0 => starts = true,
            Token::Word(word) if starts => {
                heads.push(word.clone());
                starts = false;
            }
            Token::Mark('*') if starts => heads.push("*".to_owned()),
            _ => {}
        }
    }
    heads
}

/// The violations in `source`, a file of the layer `name`.
fn faults(name: &str, source: &str) -> Vec<String> {
    let Some(layer) = LAYERS.iter().find(|layer| layer.name == name) else {
        return vec![format!("there is no layer `{name}`")];
    };
    let tokens = tokens(source);
    let mut found = Vec::new();
    // `super::` leads out of a layer as well as `crate::` does, and no module of ours bears the
    // name of a layer.
    for (root, all) in [("crate", true), ("super", false)] {
        for word in below(&tokens, root) {
            let is_layer = LAYERS.iter().any(|layer| layer.name == word);
            if (all && !is_layer)
                || (is_layer && word != name && !layer.imports.contains(&word.as_str()))
            {
                found.push(format!("{name} imports `{root}::{word}`"));
            }
        }
    }
    for word in below(&tokens, "std") {
        if layer.banned_std.contains(&word.as_str()) || word == "*" {
            found.push(format!("{name} uses `std::{word}`"));
        }
    }
    for word in layer.banned {
        if tokens.contains(&Token::Word((*word).to_owned())) {
            found.push(format!("{name} uses `{word}`"));
        }
    }
    found
}

/// The Rust files below `folder`.
fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

#[test]
fn sources_keep_the_layer_rule() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&root, &mut files)?;
    let mut found = Vec::new();
    let mut seen = Vec::new();
    for file in files {
        let path = file.strip_prefix(&root).unwrap_or(&file);
        if path == Path::new("lib.rs") {
            continue;
        }
        let layer = path
            .iter()
            .next()
            .map(|first| first.to_string_lossy().trim_end_matches(".rs").to_owned())
            .unwrap_or_default();
        for fault in faults(&layer, &fs::read_to_string(&file)?) {
            found.push(format!("src/{}: {fault}", path.display()));
        }
        seen.push(layer);
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    for layer in LAYERS {
        assert!(seen.iter().any(|name| name == layer.name), "no file of {} was seen", layer.name);
    }
    Ok(())
}

#[test]
fn every_kind_of_violation_is_found() {
    for (layer, source, fault) in [
        ("oauth", "use crate::manager::Slot;", "oauth imports `crate::manager`"),
        ("oauth", "fn f() { crate::transport::send() }", "oauth imports `crate::transport`"),
        ("oauth", "use super::super::node;", "oauth imports `super::node`"),
        ("oauth", "use tokio::time::sleep;", "oauth uses `tokio`"),
        ("oauth", "fn f() { std::fs::read(p) }", "oauth uses `std::fs`"),
        ("oauth", "use std::{fmt, net::TcpStream};", "oauth uses `std::net`"),
        ("oauth", "use std::time::{Duration, Instant};", "oauth uses `Instant`"),
        ("oauth", "async fn f() {}", "oauth uses `async`"),
        (
            "transport",
            "use crate::{oauth::Secret, manager::Slot};",
            "transport imports `crate::manager`",
        ),
        (
            "transport",
            "use crate::{oauth::{self, Scope}, node};",
            "transport imports `crate::node`",
        ),
        ("transport", "use crate as root;", "transport imports `crate::*`"),
        ("transport", "use crate::*;", "transport imports `crate::*`"),
        ("transport", "use crate::utils::x;", "transport imports `crate::utils`"),
        ("transport", "unsafe { f() }", "transport uses `unsafe`"),
        ("manager", "use crate::node::Id;", "manager imports `crate::node`"),
        ("manager", "fn f(_: hyper::Error) {}", "manager uses `hyper`"),
        ("manager", "#[napi]\nfn f() {}", "manager uses `napi`"),
        ("manager", "let a = 'x'; let b: &'a str = \"\"; unsafe {}", "manager uses `unsafe`"),
        (
            "manager",
            "let a = r#\"\"#; /* /* */ */ use napi_derive::napi;",
            "manager uses `napi_derive`",
        ),
        ("node", "hyper_util::rt::TokioIo::new(x)", "node uses `hyper_util`"),
        ("utils", "fn f() {}", "there is no layer `utils`"),
    ] {
        let found = faults(layer, source);
        assert!(found.iter().any(|line| line == fault), "{layer}: {source}: {found:?}");
    }
}

#[test]
fn what_the_rule_allows_is_not_found() {
    for (layer, source) in [
        ("oauth", "use crate::oauth::Secret; use super::scope::Scope;"),
        ("oauth", "// tokio\n/* use crate::node; */ const A: &str = \"crate::node unsafe\";"),
        ("oauth", "const A: &str = r##\"crate::manager \"# unsafe\"##;"),
        (
            "oauth",
            "const A: char = '\"'; // unsafe \"\nconst B: char = '\\''; const C: char = '\\\\';",
        ),
        ("oauth", "pub(crate) fn f<'unsafe_>() {}"),
        ("transport", "use crate::{oauth::{Secret, manager}, transport::Http};"),
        ("manager", "use crate::{oauth, transport}; use tokio::sync::watch;"),
        ("node", "use crate::manager::Manager; unsafe { f() } use napi::Env;"),
    ] {
        assert_eq!(faults(layer, source), Vec::<String>::new(), "{layer}: {source}");
    }
}
