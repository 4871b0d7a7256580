// Shows a note as text nodes and marks; reports clicks on evidence and selections of text in code points.
const ORDER = ["current", "open", "accepted", "replaced", "added", "auto", "rejected"];

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const note = parentElement.querySelector(".chartloop-note");
  const scrolled = note.scrollTop;
  const before = note.dataset.current;
  note.replaceChildren();

  for (const segment of data.segments) {
    if (segment.ids.length === 0) {
      note.appendChild(document.createTextNode(segment.text));
      continue;
    }
    const mark = document.createElement("mark");
    const named = segment.ids.includes(data.current) ? data.current : bestOf(segment.ids, data.states);
    mark.className = named === data.current ? "current" : data.states[named] || "open";
    mark.dataset.id = named;
    mark.textContent = segment.text;
    mark.onclick = () => setTriggerValue("picked", named);
    note.appendChild(mark);
  }

  note.scrollTop = scrolled;
  if (before !== data.current) {
    note.dataset.current = data.current;
    const mark = note.querySelector("mark.current");
    if (mark) mark.scrollIntoView({ block: "nearest" });
  }

  note.onmouseup = () => {
    const chosen = selectedRange(note);
    if (chosen) setTriggerValue("selection", chosen);
  };
  return () => { note.onmouseup = null; };
}

function bestOf(ids, states) {
  return [...ids].sort((a, b) => ORDER.indexOf(states[a] || "open") - ORDER.indexOf(states[b] || "open"))[0];
}

function selectedRange(note) {
  const root = note.getRootNode();
  const selection = root.getSelection ? root.getSelection() : document.getSelection();
  if (!selection || selection.rangeCount === 0 || selection.isCollapsed) return null;
  const range = selection.getRangeAt(0);
  if (!note.contains(range.startContainer) || !note.contains(range.endContainer)) return null;
  const lead = document.createRange();
  lead.selectNodeContents(note);
  lead.setEnd(range.startContainer, range.startOffset);
  const start = Array.from(lead.toString()).length;
  const length = Array.from(range.toString()).length;
  return length === 0 ? null : { start, end: start + length };
}
