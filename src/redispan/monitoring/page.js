// Asks for the figures every two seconds and shows them. Text goes in as text: nothing that was measured is ever markup.
const REFRESH_MS = 2000;
const $ = (id) => document.getElementById(id);

function el(name, options = {}, ...children) {
  const found = document.createElement(name);
  if (options.class) found.className = options.class;
  if (options.title) found.title = options.title;
  found.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return found;
}

const percent = (share, digits = 1) => (share === null || share === undefined ? "–" : `${+(share * 100).toFixed(digits)} %`);
const bytes = (value) => {
  if (value === null || value === undefined) return "–";
  const power = Math.min(4, Math.floor(Math.log2(Math.max(value, 1)) / 10));
  return `${+(value / 1024 ** power).toPrecision(3)} ${["B", "KiB", "MiB", "GiB", "TiB"][power]}`;
};
const when = (ns) => clock(ns / 1e9);
const some = (ms) => (ms ? milliseconds(ms) : "–");
const nothing = (words) => el("p", { class: "none" }, words);

// Long names are cut, so that the figures beside them stay in sight.
const named = (words) => [[el("span", { class: "name", title: words }, words)]];
const rest = (rows, many, more = rows.length - many) => (more > 0 ? [el("p", { class: "none" }, el("small", {}, `and ${more} more`))] : []);

function meter(share, limit) {
  const kind = share > limit ? " bad" : share > limit * 0.8 ? " warn" : "";
  const fill = el("i");
  fill.style.width = `${Math.min(100, Math.max(0, share * 100))}%`;
  return el("span", { class: `meter${kind}` }, fill);
}

function table(head, rows, empty) {
  if (!rows.length) return nothing(empty);
  const cell = (kind) => (content, place) => {
    const [words, style] = Array.isArray(content) ? content : [content, ""];
    const minor = typeof head[place] === "object" && head[place].minor ? " minor" : "";
    return el(kind, { class: `${style || ""}${minor}`.trim() }, ...(Array.isArray(words) ? words : [words]));
  };
  const names = head.map((one) => (typeof one === "object" ? one.minor : one));
  return el("table", {}, el("thead", {}, el("tr", {}, ...names.map((name, place) => cell("th")([[name], rows[0][place][1] === "words" ? "words" : ""], place)))),
    el("tbody", {}, ...rows.map(([first, ...others]) => el("tr", {}, ...[typeof first === "string" ? named(first) : first, ...others].map(cell("td"))))));
}

const REASONS = 6, ROWS = 20;
const RANK = { healthy: "good", degraded: "warn", unhealthy: "bad" };

function showHealth(report) {
  const kind = RANK[report.status] || "warn";
  const around = 2 * Math.PI * 42;
  const ring = svg("svg", { viewBox: "0 0 100 100", role: "img", "aria-label": `score ${report.score} of 100` },
    svg("circle", { cx: 50, cy: 50, r: 42, fill: "none", stroke: "var(--track)", "stroke-width": 10 }),
    // A round cap would leave a dot of a score of 0.
    svg("circle", { cx: 50, cy: 50, r: 42, fill: "none", stroke: `var(--${kind})`, "stroke-width": 10, "stroke-linecap": report.score > 0 ? "round" : "butt",
      "stroke-dasharray": `${(around * report.score) / 100} ${around}`, transform: "rotate(-90 50 50)" }));
  const number = svg("text", { x: 50, y: 60, "text-anchor": "middle" }, String(Math.round(report.score)));
  number.style.cssText = "font-size:30px;font-weight:700;fill:var(--text)";
  ring.append(number);
  $("ring").replaceChildren(ring);
  $("status").textContent = report.status[0].toUpperCase() + report.status.slice(1);
  $("status").className = kind;
  document.title = `${Math.round(report.score)} · ${report.status} · Redis`;
  const reasons = report.reasons.slice(0, REASONS).map((one) => el("li", {}, el("b", {}, `−${+one.points.toFixed(1)} `), one.what));
  if (report.reasons.length > REASONS) reasons.push(el("li", {}, `and ${report.reasons.length - REASONS} more`));
  const calm = report.totals.operations ? "Nothing costs points." : "No operation yet.";
  $("reasons").replaceChildren(...(reasons.length ? reasons : [el("li", {}, calm)]));
}

function tile(name, value, note = "", kind = "") {
  return el("dl", { class: "card tile" }, el("dt", {}, name), el("dd", { class: kind }, value, note ? el("small", {}, ` ${note}`) : ""));
}

function showTiles(data) {
  const { performance: report, thresholds: limits } = data;
  const window = report.window;
  const fullest = Math.max(...report.pools.map((pool) => pool.utilisation || 0), 0);
  const peak = Math.max(...report.pools.map((pool) => pool.peak_utilisation || 0), 0);
  const over = (value, limit) => (limit > 0 && value > limit ? "bad" : "");
  $("tiles").replaceChildren(
    tile("Operations a second", count(window.operations_per_s), `${count(report.totals.operations)} in all`),
    tile("Median", milliseconds(window.p50_ms), `mean ${milliseconds(window.mean_ms)}`),
    tile("99th percentile", milliseconds(window.p99_ms), `95th ${milliseconds(window.p95_ms)}`, over(window.p99_ms, limits.slow_alert_ms)),
    tile("Within 100 ms", percent(window.under_target, 2), over(window.error_rate, limits.error_rate) ? "failures are not" : `slowest ${milliseconds(window.max_ms)}`),
    tile("Errors", percent(window.error_rate, 2), `${count(report.totals.errors)} in all`, over(window.error_rate, limits.error_rate)),
    tile("Fullest pool", report.pools.length ? percent(fullest, 0) : "–", `peak ${percent(peak, 0)}`, over(fullest, limits.pool_usage)));
}

const series = (name, words, value) => el("span", {}, el("i", { class: `b-${name}` }), `${words} `, el("b", {}, value));

function key(box, ...parts) {
  let line = box.querySelector(".key");
  if (!line) box.append((line = el("div", { class: "key" })));
  line.replaceChildren(...parts);
}

function showCharts(data) {
  const seconds = data.slice_s;
  // The slice in progress would look like a fall.
  const slices = data.timeline.length > 1 ? data.timeline.filter((one) => one.at + seconds <= Date.now() / 1000) : data.timeline;
  const shown = slices.length ? slices : data.timeline;
  const [latency, throughput, distribution] = [$("latency"), $("throughput"), $("distribution")];
  if (!shown.some((one) => one.p50_ms !== null)) {
    for (const box of [latency, throughput, distribution]) box.replaceChildren(nothing("No operation in the last ten minutes."));
    return;
  }
  const tellLatency = (one) => key(latency, series("p50", "p50", milliseconds(one.p50_ms)), series("p95", "p95", milliseconds(one.p95_ms)),
    series("p99", "p99", milliseconds(one.p99_ms)), el("span", {}, "slowest ", el("b", {}, milliseconds(one.max_ms))), el("span", {}, clock(one.at)));
  latencyChart(latency, shown, seconds, data.thresholds.slow_alert_ms, tellLatency);
  tellLatency(shown[shown.length - 1]);
  const tellThroughput = (one) => key(throughput, series("bar", "all", count(one.operations / seconds)), series("bad", "failed", count(one.errors / seconds)), el("span", {}, clock(one.at)));
  throughputChart(throughput, shown, seconds, tellThroughput);
  tellThroughput(shown[shown.length - 1]);
  const total = data.distribution.reduce((sum, one) => sum + one.operations, 0);
  $("distribution-of").textContent = `the last ${count(total)} operations`;
  if (total) distributionChart(distribution, data.distribution, data.thresholds.slow_alert_ms);
  else distribution.replaceChildren(nothing("No operation in the window."));
}

function showAdvice(data) {
  const all = new Map();
  for (const one of [...data.performance.recommendations, ...data.cache.recommendations]) all.set(`${one.name} ${one.what}`, one);
  const words = ["", "worth knowing", "soon", "act"], kinds = ["", "good", "warn", "bad"];
  const found = [...all.values()].sort((a, b) => b.weight - a.weight).map((one) => el("div", { class: "advice" },
    el("span", { class: `pill ${kinds[one.weight]}` }, words[one.weight] || ""), " ", el("b", {}, one.what),
    el("p", {}, el("small", {}, one.evidence)), el("code", {}, one.change)));
  $("advice").replaceChildren(...(found.length ? found : [nothing("Nothing to change.")]));
}

function heading(server) {
  const hours = server.memory_full_in_h;
  if (hours === null || hours === undefined || hours > 24 * 7) return "";
  return el("small", { title: "at the pace of the last two hours" }, ` full in ${hours < 48 ? `${Math.round(hours)} h` : `${Math.round(hours / 24)} days`}`);
}

function showTables(data) {
  const { performance: report, cache, thresholds: limits } = data;
  const failed = (rate) => [percent(rate, 2), rate > limits.error_rate ? "bad" : ""];
  const commands = [...report.commands.slice(0, 20), ...report.blocking.slice(0, 5)];
  $("commands").replaceChildren(table(
    ["Command", "Operations", { minor: "Share of time" }, "Median", { minor: "95th" }, "99th", { minor: "Slowest" }, "Errors"],
    commands.map((one) => [one.command, count(one.totals.operations), report.blocking.includes(one) ? "blocks" : [[percent(one.time_share, 0), meter(one.time_share, 2)]], milliseconds(one.window.p50_ms),
      milliseconds(one.window.p95_ms), milliseconds(one.window.p99_ms), milliseconds(one.totals.max_ms), failed(one.totals.operations ? one.totals.errors / one.totals.operations : 0)]),
    "No operation yet."));
  const pools = [...report.pools].sort((a, b) => (b.utilisation || 0) - (a.utilisation || 0));
  $("pools").replaceChildren(table(
    ["Pool", { minor: "Process" }, "In use", "Peak", "Waiting", { minor: "Mean wait" }, { minor: "Reuse" }, "Advised"],
    pools.slice(0, ROWS).map((one) => [one.pool, one.pid, [[`${one.busy} of ${one.limit ?? "∞"}`, meter(one.utilisation || 0, limits.pool_usage)]], percent(one.peak_utilisation, 0),
      [one.pending, one.pending ? "warn" : ""], milliseconds(one.mean_wait_ms), percent(one.reuse, 1), one.advised_limit ?? "–"]),
    "No pool in use."), ...rest(pools, ROWS));
  const known = new Map(report.servers.map((one) => [one.endpoint, one]));
  const serverOf = (one) => known.get(one.endpoint.replace(/\/[^/]*$/, ""));
  const isUp = (one) => !one.unreachable && (serverOf(one)?.reachable ?? true);
  const urgent = (one) => (isUp(one) ? 0 : 1e9) + 1e6 * (serverOf(one)?.memory_usage > limits.memory_usage) + one.window.operations_per_s;
  const places = [...report.endpoints].sort((a, b) => urgent(b) - urgent(a)).slice(0, ROWS).map((one) => {
    const server = serverOf(one);
    const up = isUp(one);
    return [one.endpoint, [[el("span", { class: `pill ${up ? "good" : "bad"}` }, up ? "up" : "unreachable")]], count(one.window.operations_per_s), milliseconds(one.window.p99_ms),
      server && server.memory_usage !== null ? [[`${bytes(server.used_memory_bytes)} of ${bytes(server.memory_limit_bytes)}`, meter(server.memory_usage, limits.memory_usage), heading(server)]] : "–",
      server ? server.figures.connected_clients ?? "–" : "–"];
  });
  $("servers").replaceChildren(table(["Endpoint", "", "Ops/s", "99th", "Memory", { minor: "Clients" }], places, "No endpoint yet."), ...rest(report.endpoints, ROWS));
  $("slow").replaceChildren(table(["Command", "Took", "Pool", { minor: "Connect" }, { minor: "Retries" }, { minor: "Endpoint" }, "At"],
    report.slow.slice(0, 10).map((one) => [one.command, milliseconds(one.duration_ms), some(one.pool_wait_ms), some(one.connect_ms), one.retries || "–", named(one.endpoint), when(one.at_unix_ns)]),
    limits.slow_log_ms > 0 ? `No operation took ${milliseconds(limits.slow_log_ms)} or more.` : "No slow operation."));
  $("cache-head").textContent = cache.sampled ? `hits ${percent(cache.hit_ratio)}, reads ${percent(cache.read_share, 0)}` : "";
  const usage = cache.patterns.length ? cache.patterns : cache.families;
  $("cache").replaceChildren(table([cache.patterns.length ? "Keys" : "Family", "Reads", "Writes", "Hits", { minor: "Read" }, { minor: "Written" }, "No TTL"],
    usage.slice(0, 12).map((one) => [one.name, count(one.reads), count(one.writes), one.hit_ratio === null ? "–" : [[percent(one.hit_ratio, 0), meter(one.hit_ratio, 2)]], bytes(one.bytes_read), bytes(one.bytes_written), count(one.lasting_sets)]),
    "Nothing sampled yet."));
  $("errors").replaceChildren(table(["Type", "Failures"], Object.entries(report.error_types).sort((a, b) => b[1] - a[1]).map(([name, many]) => [name, [count(many), "bad"]]), "No failure."));
  $("works-card").className = `card wide${report.works.length ? "" : " quiet"}`;
  $("works").replaceChildren(table(["Work", "Runs", "Failed", "Mean", "Longest", "Operations a run", { minor: "Share in Redis" }],
    report.works.map((one) => [one.name, count(one.runs), count(one.failed_runs), milliseconds(one.mean_ms), milliseconds(one.max_ms), count(one.operations_per_run), percent(one.redis_share, 0)]), ""));
}

function showBaselines(report) {
  const subjects = new Map();
  for (const one of report.baselines) {
    const name = `${one.endpoint} ${one.command ?? ""}`;
    if (!subjects.has(name)) subjects.set(name, { endpoint: one.endpoint, command: one.command, figures: {} });
    subjects.get(name).figures[one.figure] = one;
  }
  const shares = (one, figure, words) => {
    const found = one.figures[figure];
    return found ? [words(found.measured), words(found.expected), [words(found.limit), found.firing ? "bad" : ""]] : ["–", "–", "–"];
  };
  const state = (one) => {
    const all = Object.values(one.figures);
    if (all.some((found) => found.firing)) return el("span", { class: "pill bad" }, "unusual");
    return all.some((found) => found.ready) ? el("span", { class: "pill good" }, "usual") : el("span", { class: "none" }, "learning");
  };
  $("baselines-card").className = `card wide${subjects.size ? "" : " quiet"}`;
  const many = new Set(report.baselines.map((one) => one.endpoint)).size > 1;
  const name = (one) => (one.command && many ? [[`${one.command} `, el("small", {}, one.endpoint)]] : one.command ?? one.endpoint);
  $("baselines").replaceChildren(table(
    ["", "", "95th now", "usual", "unusual above", "Errors now", { minor: "usual" }, { minor: "unusual above" }, { minor: "Ops/s now" }, { minor: "usual" }],
    [...subjects.values()].slice(0, 12).map((one) => [name(one), [[state(one)]],
      ...shares(one, "latency", (value) => milliseconds(value * 1000)), ...shares(one, "error_rate", (value) => percent(value, 2)), ...shares(one, "throughput", count).slice(0, 2)]), ""));
}

function showAlerts(report) {
  $("firing-card").className = `card wide${report.alerts_firing.length ? "" : " quiet"}`;
  const firing = new Map();
  for (const one of [...report.alerts_firing].sort((a, b) => a.at_unix_ns - b.at_unix_ns)) {
    const known = firing.get(`${one.name} ${one.endpoint}`);
    if (known) known.processes += 1;
    else firing.set(`${one.name} ${one.endpoint}`, { ...one, processes: 1 });
  }
  $("firing").replaceChildren(...[...firing.values()].map((one) => el("li", {}, el("b", {}, one.name.replaceAll("_", " ")),
    ` since ${when(one.at_unix_ns)}: ${one.message}${one.processes > 1 ? ` (in ${one.processes} processes)` : ""}`)));
  const kinds = { fired: "bad", cleared: "good", detected: "warn" };
  $("history").replaceChildren(table(["At", "What"], [...report.alert_history].reverse().slice(0, 12).map((one) => [
    [[`${when(one.at_unix_ns)} `, el("span", { class: `pill ${kinds[one.state] || "warn"}` }, one.state)], "at"], [[one.message + (one.held_back ? ` (and ${one.held_back} more)` : "")], "words"]]), "No alert so far."));
}

function show(data) {
  const report = data.performance;
  const many = report.processes.length;
  $("covers").textContent = `${many === 1 ? `process ${report.processes[0]}` : `${many} processes`}${report.missing.length ? `, ${report.missing.join(", ")} did not answer` : ""} · since ${moment(report.since || report.generated_at)} · at ${clock(Date.parse(report.generated_at) / 1000)}`;
  $("main").hidden = false;
  showHealth(report);
  showTiles(data);
  showAlerts(report);
  showBaselines(report);
  showCharts(data);
  showAdvice(data);
  showTables(data);
}

let paused = false, last = null, busy = false;

function say(words) {
  $("banner").textContent = words;
  $("banner").hidden = !words;
}

async function refresh() {
  if (busy || paused || document.hidden) return;
  busy = true;
  try {
    const token = sessionStorage.getItem("redispan-token");
    const answer = await fetch(`page-data?scope=${$("scope").value}`, { headers: token ? { Authorization: `Bearer ${token}` } : {}, cache: "no-store", signal: AbortSignal.timeout(10000) });
    $("ask").hidden = answer.status !== 401;
    if (answer.status === 401) say(token ? "That token isn't the right one." : "");
    else if (!answer.ok) say(`The figures could not be read (status ${answer.status}).`);
    else {
      say("");
      last = await answer.json();
      show(last);
    }
  } catch (fault) {
    say(`The process doesn't answer${last ? `; these figures are of ${clock(Date.parse(last.performance.generated_at) / 1000)}` : ""}. Trying again.`);
  }
  busy = false;
}

$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  $("pause").textContent = paused ? "Go on" : "Pause";
  refresh();
});
$("scope").addEventListener("change", refresh);
$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("redispan-token", $("token").value);
  refresh();
});
document.addEventListener("visibilitychange", refresh);
addEventListener("resize", () => last && showCharts(last));
setInterval(refresh, REFRESH_MS);
refresh();
