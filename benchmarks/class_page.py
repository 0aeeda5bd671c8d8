"""How long the page of a class takes to be made, and to be opened in Chromium.

    python benchmarks/class_page.py [STUDENTS]

The class is made up (tests/made_up_class.py). Times in a browser are its own: navigation timing, and the processor time
of the page's main thread, which hangs less on what else the machine does.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from browsing import browser_path  # noqa: E402 - the path comes first
from made_up_class import COURSE, a_class  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

from grader.report.pages.classroom import classroom_page  # noqa: E402

TIMES = """() => {
  const page = performance.getEntriesByType("navigation")[0];
  const button = document.querySelectorAll("#students thead button")[2];
  const start = performance.now();
  button.click();
  document.body.offsetHeight;
  return {
    "first paint": performance.getEntriesByName("first-contentful-paint")[0].startTime,
    "ready for use": page.domContentLoadedEventEnd,
    "loaded": page.loadEventEnd,
    "a column sorted": performance.now() - start,
  };
}"""


def main() -> None:
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    everyone, summary = a_class(size)
    start = time.perf_counter()
    page = classroom_page(everyone, summary, COURSE)
    print(f"{size} students: {len(page) / 1e6:.2f} MB, made in {time.perf_counter() - start:.2f} s")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        path = Path(folder) / "index.html"
        path.write_bytes(page)
        browser = driver.chromium.launch(executable_path=browser_path(), args=["--no-sandbox", "--disable-gpu"])
        runs = []
        for _ in range(7):
            with browser.new_context(viewport={"width": 1400, "height": 900}) as context:
                shown = context.new_page()
                session = context.new_cdp_session(shown)
                session.send("Performance.enable")
                shown.goto(path.as_uri())
                shown.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
                metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
                spent = {"the main thread's time on a core, in all": 1000 * metrics["ThreadTime"]}
                runs.append(spent | shown.evaluate(TIMES))
        print(f"Chromium {browser.version}, milliseconds, median (least to most) of {len(runs)}:")
        for name in runs[0]:
            times = [run[name] for run in runs]
            print(f"  {name}: {statistics.median(times):.0f} ({min(times):.0f} to {max(times):.0f})")


if __name__ == "__main__":
    main()
