//! Function names of different tools, brought to one form.
//!
//! Left out are arguments, template arguments, return types, clone and version suffixes and hashes;
//! closures, lambdas and anonymous namespaces are spelled in one way.

/// The common form of a name.
pub(crate) fn normalise(name: &str) -> String {
    let name = strip_crate_hashes(&unescape(strip_version(name)));
    let name = mask_operators(&unify_braces(&name));
    let name = remove_balanced(&name, '<', '>');
    let name = remove_arguments(&name);
    let name = last_word(&name);
    let name = strip_suffixes(name);
    name.trim_matches(':').to_owned()
}

/// Whether two tools mean the same function. Where one of them leaves out the path (symbol tables,
/// trait implementations, lambdas), the last part decides.
pub(crate) fn same(a: &str, b: &str) -> bool {
    let (left, right) = (normalise(a), normalise(b));
    if left == right {
        return true;
    }
    let vague = [(a, &left), (b, &right)].into_iter().any(|(raw, normal)| {
        raw.starts_with('<') || raw.contains("{impl") || !normal.contains("::") || normal.contains('{')
    });
    vague && last_part(&left) == last_part(&right)
}

/// The part after the last `::`.
pub(crate) fn last_part(normal: &str) -> &str {
    normal.rsplit("::").next().unwrap_or(normal)
}

fn strip_version(name: &str) -> &str {
    name.split_once('@').map_or(name, |(name, _)| name)
}

/// Legacy Rust names as tools that take them for C++ print them.
fn unescape(name: &str) -> String {
    const ESCAPES: [(&str, &str); 14] = [
        ("::_$", "::$"),
        ("$LT$", "<"),
        ("$GT$", ">"),
        ("$LP$", "("),
        ("$RP$", ")"),
        ("$RF$", "&"),
        ("$BP$", "*"),
        ("$C$", ","),
        ("$u20$", " "),
        ("$u5b$", "["),
        ("$u5d$", "]"),
        ("$u7b$", "{"),
        ("$u7d$", "}"),
        ("..", "::"),
    ];
    if !name.contains('$') {
        return name.to_owned();
    }
    let name = name.strip_prefix('_').filter(|rest| rest.starts_with('$')).unwrap_or(name);
    ESCAPES.iter().fold(name.to_owned(), |name, (escape, text)| name.replace(escape, text))
}

/// `std[e28293b1aa0f68bd]::sys` is `std::sys` with the number of the crate.
fn strip_crate_hashes(name: &str) -> String {
    let mut parts = name.split('[');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(']') {
            Some((hash, rest)) if hash.len() >= 8 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => {
                out.push_str(rest);
            }
            _ => {
                out.push('[');
                out.push_str(part);
            }
        }
    }
    out
}

/// `(anonymous namespace)`, `{{closure}}`, `{closure#0}`, `{lambda(int)#1}`, `<lambda(int)>`: one
/// spelling each, without parentheses and angle brackets. Shims are left out.
fn unify_braces(name: &str) -> String {
    let name = name.replace("(anonymous namespace)", "{anonymous}").replace("{{", "{").replace("}}", "}");
    let name = unify_lambdas(&name).replace(" [clone", "[clone");
    let mut out = String::new();
    let mut rest = name.as_str();
    while let Some(start) = rest.find('{') {
        out.push_str(&rest[..start]);
        let Some(length) = rest[start..].find('}') else { break };
        let inside = &rest[start + 1..start + length];
        let word = inside.split(['#', '(', ':']).next().unwrap_or_default();
        let word = if word == "closure_env" { "closure" } else { word };
        if !["impl", "vtable.shim", "shim"].contains(&word) {
            out.push_str(&format!("{{{word}}}"));
        }
        rest = &rest[start + length + 1..];
    }
    out.push_str(rest);
    out
}

/// `<lambda(int)>` as GCC writes it in debug information.
fn unify_lambdas(name: &str) -> String {
    let mut out = String::new();
    let mut rest = name;
    while let Some(start) = rest.find("<lambda(") {
        let Some(length) = rest[start..].find(")>") else { break };
        out.push_str(&rest[..start]);
        out.push_str("{lambda}");
        rest = &rest[start + length + 2..];
    }
    out + rest
}

/// Operators spelled so that their brackets do not look like those of arguments.
fn mask_operators(name: &str) -> String {
    const SYMBOLS: [(&str, &str); 9] = [
        ("operator()", "operator_call"),
        ("operator<=>", "operator_spaceship"),
        ("operator<<", "operator_shl"),
        ("operator>>", "operator_shr"),
        ("operator->", "operator_arrow"),
        ("operator<=", "operator_le"),
        ("operator>=", "operator_ge"),
        ("operator new", "operator_new"),
        ("operator delete", "operator_delete"),
    ];
    let mut name = name.to_owned();
    for (symbol, word) in SYMBOLS {
        name = name.replace(symbol, word);
    }
    match name.find("operator ") {
        Some(at) => format!("{}operator_{}", &name[..at], name[at + 9..].replace(' ', "_")),
        None => name,
    }
}

fn remove_balanced(name: &str, open: char, close: char) -> String {
    let mut depth = 0usize;
    let mut before = ' ';
    let mut out = String::new();
    for character in name.chars() {
        if character == open {
            depth += 1;
        } else if character == close && depth > 0 && before != '-' {
            depth -= 1;
        } else if depth == 0 {
            out.push(character);
        }
        before = character;
    }
    // Not balanced: an operator that was not masked; better the whole name than half of it.
    let out = if depth == 0 { out } else { name.to_owned() };
    out.replace("::::", "::")
}

/// Also those of a function in which a lambda is.
fn remove_arguments(name: &str) -> String {
    let name = remove_balanced(name, '(', ')');
    name.replace(" const::", "::").replace(" const[", "[").trim_end_matches(" const").to_owned()
}

fn last_word(name: &str) -> &str {
    let name = name.split("[clone").next().unwrap_or(name).trim();
    name.rsplit(' ').next().unwrap_or(name)
}

fn strip_suffixes(name: &str) -> &str {
    let name = match name.rsplit_once("::h") {
        Some((front, hash)) if hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => front,
        _ => name,
    };
    // gdb writes `f[cold]` for a part that was split off.
    const CLONES: [&str; 9] =
        [".constprop", ".isra", ".part", ".cold", "[cold]", ".llvm", ".lto_priv", ".localalias", ".clone"];
    let cut = CLONES.iter().filter_map(|clone| name.find(clone)).filter(|&at| at > 0).min();
    cut.map_or(name, |at| &name[..at])
}

/// Whether a name fits a pattern in which `*` stands for any text.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Holds the rules above against names that were seen.
pub(crate) fn check_rules() {
    let pairs = [
        (
            "core::ops::function::FnOnce::call_once{{vtable.shim}}",
            "core::ops::function::FnOnce::call_once<F, ()>",
        ),
        ("<a::Square<u32> as a::Shape>::describe", "a::{impl#0}::describe<u32>"),
        ("a::generic::<a::main::{closure#1}>", "a::generic<a::main::{closure_env#1}>"),
        ("a::main::{{closure}}", "a::main::{closure#1}"),
        (
            "apply<main(int, char**)::<lambda()>::<lambda()> >",
            "(anonymous namespace)::apply<x>(struct {...})",
        ),
        (
            "int (anonymous namespace)::apply<int>(int) [clone .isra.0]",
            "(anonymous namespace)::apply<int>(int)",
        ),
        ("std::vector<int>::operator[](unsigned long)", "std::vector<int>::operator[]"),
        ("operator delete(void*)", "operator delete"),
        ("stay.constprop.0", "stay"),
        ("stays.cold", "stays[cold]"),
        ("f(int)::{lambda(int)#1}::operator()(int) const::{lambda()#2}::operator()() const", "operator()"),
        ("f(int)::{lambda(int)#1}::operator()(int) const [clone .isra.0]", "f::<lambda(int)>::operator()"),
        ("std[e28293b1aa0f68bd]::sys::backtrace::f::<fn(), ()>", "std::sys::backtrace::f"),
        ("<[u64]>::sort_by::<a::b>", "alloc::slice::{impl#0}::sort_by<u64>"),
        ("a::main::_$u7b$$u7b$closure$u7d$$u7d$::h98b5912d35812eda", "a::main::{{closure}}"),
        (
            "_$LT$F$u20$as$u20$core..ops..FnOnce$LT$$LP$$RP$$GT$$GT$::call",
            "<F as core::ops::FnOnce<()>>::call",
        ),
        ("alloc::vec::from_elem::h0123456789abcdef", "alloc::vec::from_elem"),
    ];
    for (a, b) in pairs {
        assert!(same(a, b), "{a} ({}) and {b} ({})", normalise(a), normalise(b));
    }
    for (a, b) in [
        ("a::b", "a::c"),
        ("x::b", "a::b"),
        ("read", "write"),
        ("{lambda}::f", "g"),
        ("f(int)::{lambda()#1}::operator()() const", "f"),
    ] {
        assert!(!same(a, b), "{a} ({}) and {b} ({})", normalise(a), normalise(b));
    }
}
