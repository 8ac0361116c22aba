#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the documents point to is there, and the README's figures are those of the benchmarks."""

import pathlib
import re
import subprocess
import unittest

import readme_figures

ROOT = pathlib.Path(__file__).resolve().parents[2]


def documents():
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and "fixtures" not in name and "demo/workspace" not in name]


def without_code(text):
    return re.sub(r"^(```).*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text):
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", without_code(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


class Links(unittest.TestCase):
    def test_every_relative_link_leads_to_a_file_and_a_heading_of_it(self):
        seen = 0
        for document in documents():
            text = document.read_text("utf-8")
            for target in re.findall(r"\]\(([^)\s]+)\)", without_code(text)):
                if "://" in target:
                    continue
                path, _, anchor = target.partition("#")
                place = (document.parent / path).resolve() if path else document
                seen += 1
                with self.subTest(document=document.name, target=target):
                    self.assertTrue(place.exists())
                    if anchor:
                        self.assertIn(anchor, anchors(place.read_text("utf-8")))
        self.assertGreater(seen, 30)

    def test_an_anchor_that_is_not_there_is_noticed(self):
        self.assertEqual(anchors("# The `a` of B\n```\n# no heading\n```\n## It's\n"), {"the-a-of-b", "its"})


class Figures(unittest.TestCase):
    RESULTS = readme_figures.RESULTS.read_text("utf-8")

    def test_the_readme_has_the_figures_of_the_results(self):
        readme = readme_figures.README.read_text("utf-8")
        found = readme.partition(readme_figures.BEGIN)[2].partition(readme_figures.END)[0]
        self.assertEqual(found, readme_figures.table(self.RESULTS), "tests/tools/readme_figures.py --write")

    def test_a_row_that_is_gone_or_changed_is_noticed(self):
        section, work, peer, _ = readme_figures.ROWS[0]
        ours = readme_figures.row(self.RESULTS, section, work, peer)[1]
        self.assertNotEqual(readme_figures.table(self.RESULTS.replace(ours, "1 ns")), readme_figures.table(self.RESULTS))
        with self.assertRaises(readme_figures.NotThere):
            readme_figures.table(self.RESULTS.replace(work, "something else"))


if __name__ == "__main__":
    unittest.main()
