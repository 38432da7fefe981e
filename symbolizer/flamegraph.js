// The script of the flame graph: fits it to the window, zooms on click, searches, shows details.
// #s=PATTERN and #z=NUMBER in the address open it searched and zoomed.
"use strict";
const margin = 10, character = 7.23, thinnest = 0.1;
const svg = document.documentElement;
const by = (id) => document.getElementById(id);
const frames = Array.from(by("frames").children, (g, index) => {
  const [title, rect, text] = g.children;
  const details = title.textContent;
  return { g, index, rect, text, details, name: details.replace(/ \(\d+ samples?, [^()]*\)$/, ""),
           x: +g.dataset.x, w: +g.dataset.w, y: +rect.getAttribute("y") };
});
const frameOfGroup = new Map(frames.map((frame) => [frame.g, frame]));
const root = frames[0];
let zoomed = root, pattern = "", width = 1200;

function label(frame, pixels) {
  const name = frame.name.replace(/ \[[^\]]*\]$/, ""), room = Math.floor((pixels - 6) / character);
  return room < 3 ? "" : name.length <= room ? name : name.slice(0, room - 2) + "..";
}

function draw() {
  const inner = width - 2 * margin, scale = inner / zoomed.w;
  for (const frame of frames) {
    const left = Math.max(0, (frame.x - zoomed.x) * scale);
    const right = Math.min(inner, (frame.x + frame.w - zoomed.x) * scale);
    // A frame below the zoomed one, or above it and not over it, has no pixel in view.
    if (right - left < thinnest) {
      frame.g.style.display = "none";
      continue;
    }
    frame.g.style.display = "";
    frame.g.classList.toggle("above", frame.y > zoomed.y);
    frame.rect.setAttribute("x", margin + left);
    frame.rect.setAttribute("width", right - left);
    frame.text.setAttribute("x", margin + left + 3);
    frame.text.textContent = label(frame, right - left);
  }
  by("reset").setAttribute("visibility", zoomed === root ? "hidden" : "visible");
}

function fit() {
  width = Math.max(400, window.innerWidth || 1200);
  const height = svg.getAttribute("height");
  svg.setAttribute("width", width);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  by("title").setAttribute("x", width / 2);
  by("about").setAttribute("x", width / 2);
  by("search").setAttribute("x", width - margin);
  by("matched").setAttribute("x", width - margin);
  draw();
}

function remember() {
  const parts = [];
  if (pattern) parts.push("s=" + encodeURIComponent(pattern));
  if (zoomed !== root) parts.push("z=" + zoomed.index);
  try {
    history.replaceState(null, "", "#" + parts.join("&"));
  } catch (refused) {
    // Some viewers forbid it; the picture works without.
  }
}

function zoom(frame) {
  zoomed = frame;
  draw();
  remember();
}

// Marks the frames whose name matches; their share counts a frame under another match once.
function search(wanted) {
  let test, end = -1, share = 0;
  pattern = wanted || "";
  try {
    test = new RegExp(pattern, "i");
  } catch (invalid) {
    test = new RegExp(pattern.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"), "i");
  }
  const matching = frames.filter((frame) => {
    const match = pattern !== "" && frame !== root && test.test(frame.name);
    frame.g.classList.toggle("match", match);
    return match;
  });
  matching.sort((a, b) => a.x - b.x || b.w - a.w);
  for (const frame of matching)
    if (frame.x + frame.w > end + 1e-12) {
      share += frame.x + frame.w - Math.max(end, frame.x);
      end = frame.x + frame.w;
    }
  by("matched").textContent = pattern ? `Matched: ${(100 * share).toFixed(1)}%` : "";
  by("search").textContent = pattern ? "Clear search" : "Search";
  remember();
}

function ask() {
  const wanted = prompt("Functions to search for (regular expression):", pattern);
  if (wanted !== null) search(wanted);
}

function frameOf(target) {
  return frameOfGroup.get(target.closest("#frames > g"));
}

svg.addEventListener("click", (event) => {
  const frame = frameOf(event.target);
  if (frame) zoom(frame);
  else if (event.target.id === "reset") zoom(root);
  else if (event.target.id === "search") pattern ? search("") : ask();
});
svg.addEventListener("mouseover", (event) => {
  const frame = frameOf(event.target);
  by("details").textContent = frame ? frame.details : "";
});
window.addEventListener("keydown", (event) => {
  if (((event.ctrlKey || event.metaKey) && event.key === "f") || event.key === "/") {
    event.preventDefault();
    ask();
  } else if (event.key === "Escape") {
    search("");
    zoom(root);
  }
});
window.addEventListener("resize", fit);

const asked = new URLSearchParams(location.hash.slice(1));
by("search").setAttribute("visibility", "visible");
zoomed = frames[+asked.get("z")] || root;
pattern = asked.get("s") || "";
fit();
if (pattern) search(pattern);
