"""The live page in a real browser: what it names, what it refuses, whom it serves, and that it speaks to nobody."""

from __future__ import annotations

import itertools
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import colours
import numpy as np
import pytest

from wellai_exp.export import bundle_site
from wellai_exp.export._browser import BROWSERS, browser_flags

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FilePayload, Page

CHROMIUM = next((found for name in BROWSERS if (found := shutil.which(name))), None)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("page"),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed on this machine"),
    colours.needs_npm,
]


@dataclass
class Visit:
    """A page that was opened, and all that it asked for and complained of."""

    page: Page
    address: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def listen(self) -> None:
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog {dialog.message}"))

    def check(self) -> None:
        """Nothing went wrong and nobody else was asked for anything."""
        assert self.complaints == []
        foreign = [url for url in self.requests if not url.removeprefix("blob:").startswith(f"{self.address}/")]
        assert foreign == []
        assert len(self.requests) > 10

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def ready(self) -> None:
        self.page.locator("#camera:enabled").wait_for()

    def give(self, name: str, content: bytes, kind: str = "") -> None:
        """Choose a file, as the button's dialogue does."""
        file: FilePayload = {"name": name, "mimeType": kind, "buffer": content}
        self.page.locator("#file").set_input_files(file)

    def named(self, name: str) -> None:
        self.page.locator("#answer[data-state=named] #label", has_text=name).wait_for()

    def problem(self, words: str) -> None:
        self.page.locator("#message[data-kind=problem]", has_text=words).wait_for()

    def sideways(self) -> int:
        """How many pixels are cut off on the right."""
        return int(self.page.evaluate("() => document.documentElement.scrollWidth - innerWidth"))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, page_store: Path) -> Iterator[str]:
    bundle = colours.make_bundle(tmp_path_factory.mktemp("page") / "bundle", page_store)
    with bundle_site(bundle, 0) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield site.address
        site.shutdown()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser whose camera shows red, green, blue and grey pictures, two seconds each."""
    from playwright.sync_api import sync_playwright

    film = tmp_path_factory.mktemp("film") / "camera.mjpeg"
    shades = (colours.RED, colours.GREEN, colours.BLUE, colours.GREY)
    film.write_bytes(b"".join(colours.picture(shade, 320, 240) * 60 for shade in shades))
    camera = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    ]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=[*browser_flags(), *camera])
        yield opened
        opened.close()


@contextmanager
def visiting(browser: Browser, address: str, **context: Any) -> Iterator[Visit]:
    opened = browser.new_context(**context)
    visit = Visit(opened.new_page(), address)
    visit.page.set_default_timeout(60_000)
    visit.listen()
    visit.page.goto(f"{address}/")
    visit.ready()
    yield visit
    opened.close()


@pytest.fixture(scope="module")
def shared_visit(browser: Browser, address: str) -> Iterator[Visit]:
    with visiting(browser, address, viewport={"width": 1280, "height": 860}) as visit:
        yield visit


@pytest.fixture
def visit(shared_visit: Visit) -> Iterator[Visit]:
    """The one page that most tests share, with nothing shown, and without a complaint afterwards."""
    if shared_visit.page.locator("#stop").is_visible():
        shared_visit.page.locator("#stop").click()
    yield shared_visit
    shared_visit.check()


def test_the_page_introduces_the_model(visit: Visit) -> None:
    assert visit.text("#title") == "colours/3"
    assert visit.text("#subtitle") == "3 poses · 32 px"
    assert "abababababab" in visit.text("#about")
    # What did not pass its checks is not offered.
    options = visit.page.locator("#artifact option").all_inner_texts()
    assert [option.split()[0] for option in options] == ["tflite_float32"]
    assert visit.page.locator("#hardware option[value=webgpu]").is_disabled()


@pytest.mark.parametrize(("shade", "index"), [(colours.RED, 0), (colours.GREEN, 1), (colours.BLUE, 2)])
def test_a_picture_is_named_with_its_probabilities(visit: Visit, shade: tuple[int, int, int], index: int) -> None:
    visit.give("picture.jpg", colours.picture(shade), "image/jpeg")
    visit.named(colours.SHOWN[index])
    level = ("warm", "cold", "cold")[index]
    assert visit.text("#detail").startswith(f"{level} · ")
    rows = visit.page.locator("#bars li").all_inner_texts()
    assert len(rows) == 3
    first = rows[0].split("\n")
    assert first[0] == colours.SHOWN[index]
    assert 95 <= int(first[1].rstrip("%")) <= 100
    assert "Shows picture.jpg" in visit.text("#message")
    assert visit.text("#latency").endswith("ms")


def test_below_its_own_threshold_no_pose_is_named(visit: Visit) -> None:
    # (60, 130, 60): green has 0.67, above the usual half and below its own 0.9.
    visit.give("dull.png", colours.picture((60, 130, 60)), "image/png")
    visit.page.locator("#answer[data-state=none]").wait_for()
    assert visit.text("#label") == "No pose"
    assert colours.SHOWN[1] in visit.text("#detail")
    # Blue has no threshold of its own, so the usual half holds.
    visit.give("blueish.png", colours.picture((60, 60, 130)), "image/png")
    visit.named(colours.SHOWN[2])


@pytest.mark.parametrize(
    "name",
    [
        "<img src=x onerror=alert(1)>.jpg",
        "'\"><script>alert(1)</script>.jpg",
        "\u202egpj.exe.jpg",
        "{name}${alert(1)}.jpg",
        "나무 자세" * 60 + ".jpg",
        "../../../etc/passwd",
    ],
)
def test_a_hostile_name_is_only_text(visit: Visit, name: str) -> None:
    visit.give(name, colours.picture(colours.RED), "image/jpeg")
    visit.named(colours.SHOWN[0])
    visit.page.locator("#message", has_text="Shows").wait_for()
    shown = visit.text("#message")
    assert "\u202e" not in shown
    assert len(shown) < 80
    assert visit.page.locator("#message *").count() == 0
    assert visit.page.locator("img, body script, b").count() == 0
    assert visit.sideways() == 0


@pytest.mark.parametrize(
    ("name", "content", "kind", "sentence"),
    [
        (
            "large.png",
            colours.huge_png(12_000),
            "image/png",
            "large.png is too large (144 megapixels); choose one of at",
        ),
        # More than Chromium itself has room for.
        ("huge.png", colours.huge_png(30_000), "image/png", "huge.png cannot be decoded here"),
        ("text.jpg", b"this is no picture", "image/jpeg", "text.jpg cannot be decoded here"),
        ("cut.jpg", colours.picture(colours.RED)[:300], "image/jpeg", "cut.jpg cannot be decoded here"),
        ("empty.png", b"", "image/png", "empty.png is empty"),
        ("text.mp4", b"this is no film", "video/mp4", "text.mp4 cannot be decoded here"),
        (
            "drawing.svg",
            b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>',
            "image/svg+xml",
            "drawing.svg cannot be decoded here",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value and " " not in value else "",
)
def test_what_cannot_be_looked_at_gets_a_sentence(
    visit: Visit, name: str, content: bytes, kind: str, sentence: str
) -> None:
    visit.give(name, content, kind)
    visit.problem(sentence)
    assert visit.page.locator("#answer[data-state=waiting]").count() == 1
    # And the page goes on.
    visit.give("fine.jpg", colours.picture(colours.RED), "image/jpeg")
    visit.named(colours.SHOWN[0])


def test_files_can_be_dropped_anywhere(visit: Visit) -> None:
    dropped = """([bytes, names]) => {
      const held = new DataTransfer();
      for (const name of names) held.items.add(new File([new Uint8Array(bytes)], name, { type: "image/jpeg" }));
      for (const kind of ["dragenter", "dragover", "drop"])
        document.querySelector("footer").dispatchEvent(
          new DragEvent(kind, { dataTransfer: held, bubbles: true, cancelable: true }));
    }"""
    visit.page.evaluate(dropped, [list(colours.picture(colours.BLUE)), ["one.jpg", "two.jpg"]])
    visit.named(colours.SHOWN[2])
    visit.page.locator("#message", has_text="Several files were dropped").wait_for()
    visit.page.evaluate(dropped, [[], []])
    visit.problem("is no file")


def test_a_film_is_named_as_it_plays(visit: Visit) -> None:
    visit.give("film.webm", film(visit.page), "video/webm")
    visit.named(colours.SHOWN[1])
    visit.page.locator("#message", has_text="Shows film.webm").wait_for()


def film(page: Page) -> bytes:
    """Have the browser record a second of green."""
    recorded = page.evaluate(
        """async () => {
          const canvas = document.createElement("canvas");
          [canvas.width, canvas.height] = [160, 120];
          const pen = canvas.getContext("2d");
          const recorder = new MediaRecorder(canvas.captureStream(30), { mimeType: "video/webm" });
          const parts = [];
          recorder.ondataavailable = (event) => parts.push(event.data);
          const done = new Promise((resolve) => { recorder.onstop = resolve; });
          const paint = setInterval(() => { pen.fillStyle = "rgb(20, 235, 20)"; pen.fillRect(0, 0, 160, 120); }, 30);
          recorder.start();
          await new Promise((resolve) => setTimeout(resolve, 1500));
          recorder.stop();
          await done;
          clearInterval(paint);
          return Array.from(new Uint8Array(await new Blob(parts).arrayBuffer()));
        }"""
    )
    return bytes(recorded)


def test_the_camera_names_one_pose_after_the_other_and_does_not_chatter(visit: Visit) -> None:
    page = visit.page
    page.evaluate(
        """() => {
          window.heard = [];
          const region = document.getElementById("announcement");
          new MutationObserver(() => window.heard.push(region.textContent)).observe(region, { childList: true });
        }"""
    )
    page.locator("#camera").click()
    for shown in colours.SHOWN:
        visit.named(shown)
    page.locator("#answer[data-state=none]").wait_for()
    assert visit.text("#message") == "The camera is on."
    assert float(visit.text("#fps")) > 0
    assert page.locator("#mirror").is_checked()
    assert page.locator("#video").evaluate("video => getComputedStyle(video).transform").startswith("matrix(-1")
    page.locator("#stop").click()
    assert page.locator("#answer[data-state=waiting]").count() == 1
    heard = [text for text in page.evaluate("() => window.heard") if text]
    # Two seconds a colour and a word for each, of some two hundred answers.
    assert 1 <= len(heard) <= 12
    assert set(heard) <= {*colours.SHOWN, "No pose"}
    assert all(one != other for one, other in itertools.pairwise(heard))


def test_everything_can_be_done_with_the_keyboard(visit: Visit) -> None:
    page = visit.page
    focused = "() => document.activeElement.id"
    page.locator("body").click(position={"x": 5, "y": 5})
    order = []
    for _ in range(8):
        page.keyboard.press("Tab")
        order.append(page.evaluate(focused))
    assert order[:6] == ["language", "camera", "choose", "engine", "artifact", "hardware"]
    page.locator("#camera").focus()
    outline = page.locator("#camera").evaluate("button => getComputedStyle(button).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    page.locator("#stage[data-state=camera]").wait_for()
    # The button is gone, and the focus is where one goes on.
    assert page.evaluate(focused) == "stop"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "mirror"
    page.keyboard.press("Space")
    assert page.locator("#video").evaluate("video => getComputedStyle(video).transform") == "none"
    page.keyboard.press("Space")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.locator("#stage[data-state=empty]").wait_for()
    assert page.evaluate(focused) == "camera"


def test_every_control_has_a_name_and_every_text_its_language(visit: Visit) -> None:
    for role, names in {
        "combobox": ["Language", "Engine", "Model file", "Hardware"],
        "button": ["Start camera", "Choose picture or video"],
    }.items():
        for name in names:
            assert visit.page.get_by_role(role, name=name).count() == 1  # type: ignore[arg-type]
    assert visit.page.locator("html").get_attribute("lang") == "en"
    assert visit.page.get_by_role("status").count() == 2


def test_the_other_engine_gives_the_same(visit: Visit) -> None:
    page = visit.page
    visit.give("red.jpg", colours.picture(colours.RED), "image/jpeg")
    visit.named(colours.SHOWN[0])
    bars = visit.text("#bars")
    page.locator("#engine").select_option("tfjs")
    # The picture is looked at anew once the engine runs.
    page.locator("#running[data-artifact=tfjs_float32]").wait_for()
    visit.named(colours.SHOWN[0])
    assert visit.text("#bars") == bars
    assert any(url.endswith("/tfjs/float32/weights.bin") for url in visit.requests)
    page.locator("#engine").select_option("litert_js")
    page.locator("#running[data-artifact=tflite_float32]", has_text="processor").wait_for()
    visit.named(colours.SHOWN[0])


@pytest.mark.parametrize("language", ["en-US", "ko-KR"])
def test_a_narrow_screen_shows_all_without_scrolling_sideways(browser: Browser, address: str, language: str) -> None:
    with visiting(browser, address, viewport={"width": 320, "height": 640}, locale=language) as visit:
        assert visit.sideways() == 0
        visit.give("red.jpg", colours.picture(colours.RED, 900, 300), "image/jpeg")
        visit.named(colours.SHOWN[0])
        assert visit.sideways() == 0
        visit.page.locator("#camera").click()
        visit.page.locator("#stage[data-state=camera]").wait_for()
        assert visit.sideways() == 0
        for control in visit.page.locator("button:visible, select:visible").all():
            box = control.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 320
            assert box["height"] >= 24
        visit.check()


def test_korean_comes_by_the_browsers_language_and_can_be_chosen(browser: Browser, address: str) -> None:
    with visiting(browser, address, locale="ko-KR") as visit:
        page = visit.page
        assert page.locator("html").get_attribute("lang") == "ko"
        assert visit.text("#camera") == "카메라 켜기"
        assert visit.text("#subtitle") == "자세 3개 · 32px"
        visit.give("grey.jpg", colours.picture(colours.GREY), "image/jpeg")
        page.locator("#label", has_text="자세 없음").wait_for()
        page.locator("#language").select_option("en")
        assert visit.text("#label") == "No pose"
        assert visit.text("#camera") == "Start camera"
        assert "Shows grey.jpg" in visit.text("#message")
        assert page.locator("html").get_attribute("lang") == "en"
        visit.check()


def test_a_camera_that_is_not_allowed_is_told(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        for name, words in (("NotAllowedError", "not allowed"), ("NotFoundError", "No camera was found")):
            visit.page.evaluate(
                """name => {
                  navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("", name); };
                }""",
                name,
            )
            visit.page.locator("#camera").click()
            visit.problem(words)
            assert visit.page.locator("#camera").is_visible()
        visit.check()


def test_nothing_that_the_policy_forbids_can_be_fetched(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        blocked = visit.page.evaluate(
            """async () => {
              const tried = new Set();
              document.addEventListener("securitypolicyviolation", (event) => tried.add(event.effectiveDirective));
              const script = document.createElement("script");
              script.textContent = "window.injected = true";
              document.body.append(script);
              const wrong = await fetch("http://127.0.0.1:9/").then(() => "fetched", () => "refused");
              await new Promise((resolve) => setTimeout(resolve, 100));
              return [[...tried].sort(), wrong, window.injected === undefined];
            }"""
        )
        assert blocked == [["connect-src", "script-src-elem"], "refused", True]


# A camera's size takes seconds to compare, so each rule has it once.
SQUARED = [
    *((640, 480, "stretch"), (480, 640, "crop"), (640, 480, "pad")),
    *(
        (*size, how)
        for size in ((160, 120), (33, 200), (20, 20), (31, 64), (1, 1), (97, 3))
        for how in ("stretch", "crop", "pad")
    ),
]


@pytest.mark.parametrize(("width", "height", "how"), SQUARED)
def test_a_picture_becomes_the_square_that_training_saw(visit: Visit, width: int, height: int, how: str) -> None:
    from wellai_exp.data import fit

    pixels = np.random.default_rng(width * height).integers(0, 256, (height, width, 3)).astype(np.uint8)
    rgba = np.concatenate([pixels, np.full((height, width, 1), 255, np.uint8)], axis=2)
    size = 32
    square = visit.page.evaluate(
        """async ([rgba, width, height, size, how]) => {
          const { laid, placed, resized } = await import("/page/fit.js");
          const place = placed(width, height, size, how);
          const cut = [];
          for (let row = place.top; row < place.top + place.height; row++)
            cut.push(...rgba.slice(4 * (row * width + place.left), 4 * (row * width + place.left + place.width)));
          return Array.from(laid(resized(cut, place.width, place.height, place.toWidth, place.toHeight), place, size));
        }""",
        [rgba.ravel().tolist(), width, height, size, how],
    )
    difference = np.abs(np.reshape(square, (size, size, 3)).astype(int) - fit(pixels, size, how).astype(int))
    # OpenCV rounds in fixed point where it interpolates.
    assert difference.max() <= 1
