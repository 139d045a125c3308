@pytest.fixture
def tab(browser, address):
    """The page; it must not err, nor ask anything of another server."""
    tab = browser.new_page(viewport={"width": 1200, "height": 900})
    wrong = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("request", lambda r: wrong.append(r.url) if not r.url.startswith((address, "data:", "blob:")) else None)
    tab.goto(address)
    yield tab
    assert wrong == []


@pytest.fixture
def files(tmp_path) -> list[str]:
    for seed in range(3):
        Image.fromarray(leaf(seed, side=64)).resize((300, 200)).save(tmp_path / f"leaf{seed}.png")
    return [str(tmp_path / f"leaf{seed}.png") for seed in range(3)]


def test_images_are_dropped_judged_and_looked_at(tab, files, detector, tmp_path):
    drop = """(names) => {
        const all = new DataTransfer();
        for (const [name, bytes] of names) all.items.add(new File([new Uint8Array(bytes)], name));
        document.dispatchEvent(new DragEvent("drop", {dataTransfer: all, bubbles: true, cancelable: true}));
    }"""
    tab.evaluate(drop, [[Path(file).name, list(Path(file).read_bytes())] for file in files])
    tab.get_by_text("3 judged").wait_for()
    cards = tab.locator("article")
    assert cards.locator("h2").all_inner_texts() == ["leaf2.png", "leaf1.png", "leaf0.png"]  # the last on top
    scores = detector.predict(files).scores
    for card, score in zip(cards.all(), scores[::-1], strict=True):
        assert f"{100 * score:.1f} %" in card.locator(".verdict").inner_text()
    card = cards.first
    heat = card.locator(".stack img").nth(1)
    before = heat.get_attribute("src")
    assert heat.bounding_box() == card.locator(".stack img").first.bounding_box()
    card.get_by_label("Strength").fill("25")
    assert heat.evaluate("image => getComputedStyle(image).opacity") == "0.25"
    card.get_by_label("Show").select_option("attention")
    assert heat.get_attribute("src") != before
    assert card.locator(".strip img").count() == 2 * service.NEIGHBOURS
    with tab.expect_download() as result:
        card.get_by_text("Download result").click()
    assert json.loads(Path(result.value.path()).read_text())["score"] == pytest.approx(scores[2], abs=1e-5)
    with tab.expect_download() as overlay:
        card.get_by_text("Download overlay").click()
    assert Image.open(overlay.value.path()).size == (300, 200)


def test_a_text_called_png_and_a_large_image_beside_it(tab, files, tmp_path):
    text, large = tmp_path / "notes.png", tmp_path / "large.jpg"
    text.write_text("hello")
    large.write_bytes(written(np.zeros((5000, 10_000, 3), np.uint8), "JPEG"))
    tab.locator("#files").set_input_files([str(text), str(large), files[0]])
    tab.get_by_text("3 judged").wait_for(timeout=60_000)
    assert "no JPEG, PNG" in tab.locator("article").nth(2).inner_text()
    assert tab.locator(".verdict").count() == 2


def test_the_keyboard_alone_will_do(tab, files):
    tab.keyboard.press("Tab")
    with tab.expect_file_chooser() as chooser:
        assert tab.evaluate("document.activeElement.id") == "files"
        # What the browser answers comes after its promise to hand the dialog to the test.
        tab.keyboard.press("Enter")
    chooser.value.set_files(files[:1])
    tab.get_by_text("1 judged").wait_for()
    for _ in range(2):
        tab.keyboard.press("Tab")
    tab.keyboard.press("ArrowLeft")  # at the slider
    assert tab.get_by_label("Strength").input_value() == "99"


def test_the_page_fits_a_phone(tab, files):
    tab.set_viewport_size({"width": 360, "height": 740})
    tab.locator("#files").set_input_files(files)
    tab.get_by_text("3 judged").wait_for()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
