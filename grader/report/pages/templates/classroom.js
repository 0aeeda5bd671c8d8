"use strict";
// Sorting, filters, and a form for marks. What students wrote is read from the page as text and put back as text.
(() => {
  const find = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const table = find("#students");
  const heads = all("thead th", table);
  const rows = [...table.tBodies[0].rows];
  const FIRST_CRITERION = 3; // after id, name and score
  const criteria = all("thead th.tall", table).map((head, column) => ({
    column,
    id: head.dataset.criterion,
    title: find("span", head).textContent,
    most: Number(head.dataset.max),
  }));

  // ---- sorting ------------------------------------------------------------------------------------------------------

  const collator = new Intl.Collator(undefined, { numeric: true });
  const text = (row, column) => row.cells[column].textContent.trim();

  function compare(column) {
    const isNumeric = rows.every((row) => text(row, column) === "" || !Number.isNaN(Number(text(row, column))));
    return (one, other) => {
      const [a, b] = [text(one, column), text(other, column)];
      if (a === "" || b === "") return (a === "") - (b === ""); // what is not there comes last, both ways
      return sign * (isNumeric ? Number(a) - Number(b) : collator.compare(a, b));
    };
  }

  let sign = 1;
  function sort(column) {
    const turned = heads[column].getAttribute("aria-sort") === "ascending";
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", turned ? "descending" : "ascending");
    sign = turned ? -1 : 1;
    table.tBodies[0].append(...[...rows].sort(compare(column)));
  }

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(column));
    head.append(button);
  });

  // ---- filters ------------------------------------------------------------------------------------------------------

  const filters = find("#filters");
  const KINDS = ["lost", "mistake", "flag", "state"];
  const plain = (string) => string.normalize("NFKC").toLowerCase();
  const searched = rows.map((row) => plain(`${row.dataset.id} ${text(row, 0)} ${text(row, 1)}`));
  const cases = all(".case");
  const SHOWN_AT_ONCE = 10;
  let shownCases = SHOWN_AT_ONCE;

  function filter() {
    const words = plain(filters.elements.text.value).split(/\s+/);
    const wanted = KINDS.map((kind) => [kind, filters.elements[kind].value]).filter(([, value]) => value !== "");
    rows.forEach((row, number) => {
      row.hidden =
        !words.every((word) => searched[number].includes(word)) ||
        !wanted.every(([kind, value]) => row.dataset[kind].split(" ").includes(value));
    });
    const shown = rows.filter((row) => !row.hidden).length;
    filters.elements.shown.value = `${shown} of ${rows.length} shown`;
    showCases();
  }

  function showCases() {
    const fitting = cases.filter((one) => !rows[one.dataset.row].hidden);
    cases.forEach((one) => (one.hidden = true));
    fitting.slice(0, shownCases).forEach((one) => {
      one.hidden = false;
      all(".give:empty", one).forEach((place) =>
        fields(place, Number(one.dataset.row), criteria[place.dataset.column], place.dataset.computed, false)
      );
    });
    const left = fitting.length - shownCases;
    find("#more").hidden = left <= 0;
    find("#more").textContent = `Show ${Math.min(left, SHOWN_AT_ONCE)} more (${left} are left)`;
  }

  filters.hidden = false;
  filters.addEventListener("input", filter);
  find("button", filters).addEventListener("click", () => {
    filters.reset();
    filter();
  });
  filters.addEventListener("submit", (event) => event.preventDefault());
  find("#more").addEventListener("click", () => {
    shownCases += SHOWN_AT_ONCE;
    showCases();
  });
  all("button.filter").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", () => {
      filters.reset();
      filters.elements[button.dataset.kind].value = button.dataset.value;
      filter();
      find("#class").scrollIntoView();
    });
  });

  // ---- marks --------------------------------------------------------------------------------------------------------

  const marks = new Map(); // "row column" → { student, criterion, points, comment, withdrawn, when }
  let downloaded = true;

  const now = () => {
    const time = new Date();
    const two = (number) => String(Math.floor(Math.abs(number))).padStart(2, "0");
    const offset = -time.getTimezoneOffset();
    const date = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
    const clock = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
    return `${date}T${clock}${offset < 0 ? "-" : "+"}${two(offset / 60)}:${two(Math.abs(offset) % 60)}`;
  };
  const isWrong = (mark) => !mark.withdrawn && mark.points !== "" && !(mark.points >= 0 && mark.points <= mark.most);
  const isWhole = (mark) => mark.withdrawn || (mark.points !== "" && !isWrong(mark));

  // The fields of one criterion of one student, in `place`: a case below the table, or a line of the dialog.
  // computed: what the button offers, "" for none.
  function fields(place, rowNumber, criterion, computed, isByHand) {
    const key = `${rowNumber} ${criterion.column}`;
    const inside = find("#fields").content.cloneNode(true);
    const [points, comment] = all("input", inside);
    const [agree, withdraw, clear] = all("button", inside);
    const wrong = find(".wrong", inside);
    points.max = criterion.most;
    points.placeholder = `of ${criterion.most}`;
    agree.textContent = `${isByHand ? "As computed" : "As proposed"}: ${computed}`;
    agree.hidden = computed === "";
    withdraw.hidden = !isByHand;

    function show() {
      const mark = marks.get(key) ?? { points: "", comment: "", withdrawn: false, most: criterion.most };
      if (!points.validity.badInput && points.value !== mark.points) points.value = mark.points;
      if (comment.value !== mark.comment) comment.value = mark.comment;
      points.disabled = mark.withdrawn;
      withdraw.setAttribute("aria-pressed", String(mark.withdrawn));
      clear.hidden = !marks.has(key);
      wrong.textContent =
        isWrong(mark) || points.validity.badInput ? `Points are a number from 0 to ${criterion.most}.` : "";
      place.classList.toggle("typed", marks.has(key) && isWhole(mark));
    }
    function set(change) {
      const old = marks.get(key) ?? { points: "", comment: "", withdrawn: false };
      const mark = { ...old, ...change, most: criterion.most, when: now() };
      mark.student = rows[rowNumber].dataset.id;
      mark.criterion = criterion.id;
      if (mark.points === "" && mark.comment === "" && !mark.withdrawn && !points.validity.badInput) marks.delete(key);
      else marks.set(key, mark);
      downloaded = false;
      all(".give").forEach((one) => one.refresh?.()); // the same mark may stand in a case and in the dialog
      tell();
    }
    points.addEventListener("input", () => set({ points: points.value }));
    comment.addEventListener("input", () => set({ comment: comment.value }));
    agree.addEventListener("click", () => set({ points: computed, withdrawn: false }));
    withdraw.addEventListener("click", () => set({ withdrawn: !marks.get(key)?.withdrawn, points: "" }));
    clear.addEventListener("click", () => {
      points.value = "";
      set({ points: "", comment: "", withdrawn: false });
    });
    place.refresh = show;
    place.replaceChildren(inside);
    show();
  }

  function tell() {
    const whole = [...marks.values()].filter(isWhole).length;
    const rest = marks.size - whole;
    find("#marks").hidden = marks.size === 0;
    find("#typed").textContent =
      `${whole} ${whole === 1 ? "mark" : "marks"}` + (rest ? `, and ${rest} without points or out of range` : "");
    find("#download").disabled = whole === 0 || rest > 0;
    find("#said").textContent = "";
  }

  // As grader.inert.cell does: no spreadsheet takes it for a formula. grader.marks takes the quotation mark away.
  const FORMULAS = "=+-@|%＝＋－＠";
  function cell(string) {
    const safe = FORMULAS.includes(string.trimStart()[0] ?? " ") ? `'${string}` : string;
    return `"${safe.replaceAll('"', '""')}"`;
  }

  function sheet(marker) {
    const lines = [["student_id", "criterion", "points", "comment", "marker", "when"]];
    for (const mark of marks.values()) {
      const points = mark.withdrawn ? "" : String(Math.round(mark.points * 1e6) / 1e6); // 1e-9 is no number for a sheet
      lines.push([mark.student, mark.criterion, points, mark.comment, marker, mark.when].map(cell));
    }
    return "\ufeff" + lines.map((line) => line.join(",")).join("\r\n") + "\r\n"; // with the mark by which Excel knows UTF-8
  }

  find("#download").addEventListener("click", () => {
    const marker = find("#marker").value.trim();
    if (marker === "") {
      find("#said").textContent = "Who gives these marks?";
      find("#marker").focus();
      return;
    }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([sheet(marker)], { type: "text/csv" }));
    link.download = `marks-${now().slice(0, 19).replaceAll(":", "")}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    downloaded = true;
    find("#said").textContent = `Saved as ${link.download}: give it to the grader with --marks.`;
  });
  window.addEventListener("beforeunload", (event) => {
    if (!downloaded && marks.size > 0) event.preventDefault();
  });

  find("#how").hidden = false;

  // ---- any criterion of any student -----------------------------------------------------------------------------------

  const dialog = find("#dialog");
  function element(tag, className, string) {
    const made = document.createElement(tag);
    made.className = className;
    made.textContent = string;
    return made;
  }

  function open(row) {
    const number = rows.indexOf(row);
    const [link] = all("a", row.cells[0]);
    find("#dialog-title").textContent = [text(row, 0), text(row, 1)].filter((part) => part !== "").join(", ");
    const lines = criteria.map((criterion) => {
      const from = row.cells[FIRST_CRITERION + criterion.column];
      const line = element("div", "sides", "");
      const said = element("div", "", "");
      const title = element("h4", "", `${criterion.title}: `);
      title.append(element("span", `num ${from.className}`, from.textContent || "not judged"), ` of ${criterion.most}`);
      said.append(title);
      if (from.title) said.append(element("p", "small", from.title));
      if (link) {
        const page = element("a", "small", "evidence on the student’s page");
        page.href = `${link.getAttribute("href")}#${encodeURIComponent(criterion.id)}`;
        page.target = "_blank";
        page.rel = "noopener";
        said.append(page);
      }
      const place = element("div", "give", "");
      line.append(said, place);
      const computed = from.dataset.computed ?? (from.classList.contains("open") ? from.textContent : "");
      fields(place, number, criterion, computed, from.classList.contains("hand"));
      return line;
    });
    find(".criteria", dialog).replaceChildren(...lines);
    dialog.showModal();
    dialog.scrollTop = 0;
  }

  table.tHead.rows[0].append(document.createElement("td"));
  rows.forEach((row) => {
    const button = element("button", "mark", "Mark");
    button.type = "button";
    button.hidden = !row.cells[FIRST_CRITERION - 1].textContent; // without a record a mark changes nothing
    button.setAttribute("aria-label", `Mark ${text(row, 0)}`);
    row.insertCell().append(button);
  });
  table.addEventListener("click", (event) => {
    const button = event.target.closest("button.mark");
    if (button) open(button.closest("tr"));
  });
  find(".close", dialog).addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => find(".criteria", dialog).replaceChildren());
  filter();
})();
