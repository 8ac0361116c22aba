// SPDX-License-Identifier: MIT
//! The guides are true: what they say to type works, and answers what stands beneath it. Their Rust is run as documentation is.

use std::env;
use std::fs;
use std::path::Path;

use cascow_tests::npm::node;
use cascow_tests::program::{Answer, program};
use cascow_tests::sandbox::Sandbox;

/// A fenced block of a document.
#[derive(Debug)]
struct Block {
    /// What stands behind the fence.
    language: String,
    text: String,
}

fn blocks(guide: &str) -> Vec<Block> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guides").join(guide);
    let text = fs::read_to_string(path).unwrap();
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                open = Some(Block { language: language.to_owned(), text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => block.text.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{guide} ends within a block");
    blocks
}

/// Whether a text is what a pattern says, in which `…` stands for anything within a line.
fn is_like(text: &str, pattern: &str) -> bool {
    let is_line_like = |line: &str, pattern: &str| {
        let mut rest = line;
        let mut parts = pattern.split('…');
        let first = parts.next().unwrap_or_default();
        let Some(after) = rest.strip_prefix(first) else { return false };
        rest = after;
        let parts: Vec<&str> = parts.collect();
        let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
        for part in between {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    };
    let (lines, patterns): (Vec<&str>, Vec<&str>) =
        (text.lines().collect(), pattern.lines().collect());
    lines.len() == patterns.len()
        && lines.iter().zip(patterns).all(|(line, pattern)| is_line_like(line, pattern))
}

#[test]
fn what_is_not_like_a_pattern_is_noticed() {
    assert!(is_like("a\nb 12 c 3 d\n", "a\nb … c … d\n"));
    assert!(is_like("made it\n", "made …\n") && is_like("made it\n", "…\n"));
    for other in
        ["a\n", "a\nb 12 c 3 d\nmore\n", "a\nb 12 c d\n", "a\nb 12 c 3 e\n", "x\nb 1 c 3 d\n"]
    {
        assert!(!is_like(other, "a\nb … c … d\n"), "{other}");
    }
}

#[test]
fn the_tour_of_the_native_host_answers_what_it_says() {
    let sandbox = Sandbox::without_repository();
    let blocks = blocks("native.md");
    let dir = program().parent().unwrap().to_owned();
    let path =
        env::join_paths([dir].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap())));
    let mut run = 0;
    for (at, block) in blocks.iter().enumerate().filter(|(_, block)| block.language == "sh") {
        let mut shell = sandbox.command("sh");
        shell.args(["-e", "-c", &block.text]).env("PATH", path.as_ref().unwrap());
        let answer = Answer::of(&mut shell);
        assert_eq!(answer.code, 0, "{}\n{}{}", block.text, answer.text(), answer.stderr);
        let expected = blocks.get(at + 1).filter(|block| block.language == "text");
        let expected = expected.unwrap_or_else(|| panic!("nothing is said of {}", block.text));
        assert!(
            is_like(answer.text(), &expected.text),
            "{}\nanswered\n{}\nand not\n{}",
            block.text,
            answer.text(),
            expected.text
        );
        run += 1;
    }
    assert!(run >= 8, "{run} blocks");
}

#[test]
fn the_program_of_the_browsers_guide_prints_what_it_says() {
    let blocks = blocks("browser.md");
    let code: String = blocks
        .iter()
        .filter(|block| block.language == "js")
        .flat_map(|block| block.text.lines())
        .filter(|line| !line.starts_with("import "))
        .flat_map(|line| [line, "\n"])
        .collect();
    let prints = code.lines().filter(|line| line.contains("console.log("));
    let expected: Vec<&str> = prints
        .map(|line| {
            let (_, said) = line.rsplit_once("; ").unwrap_or_else(|| panic!("unsaid: {line}"));
            said.trim_start().strip_prefix("// ").unwrap_or_else(|| panic!("unsaid: {line}"))
        })
        .collect();
    assert!(expected.len() >= 10, "{expected:?}");
    let body = format!(
        "const printed = [], console = {{ log: (...all) => printed.push(all.map(String).join(' ')) }};
        {code}
        return printed;"
    );
    let printed = node(&body).unwrap_or_else(|threw| panic!("threw {threw}"));
    let printed: Vec<&str> =
        printed.as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    assert_eq!(printed, expected);
}
