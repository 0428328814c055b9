// Back and Forward walk through what a person did, one step each.
//
// Streamlit makes several entries for one click (the page, then what the page suggests) and none for a value typed into
// a widget. Here a gesture makes one entry where it opens another page, dictionary, feature, partner or tab; every
// other change of the address replaces the entry that is open.
(() => {
  if (window.loupeHistory) return;
  window.loupeHistory = true;
  const PLACES = ["sae", "b", "feature", "match_feature_b", "tab"];
  const push = history.pushState.bind(history);
  const replace = history.replaceState.bind(history);
  let acted = false; // a gesture that has not made its entry yet

  const place = (url) => JSON.stringify([url.pathname, ...PLACES.map((name) => url.searchParams.getAll(name))]);
  const move = (state, title, address) => {
    const url = new URL(address ?? location.href, location.href);
    const goes = acted && place(url) !== place(new URL(location.href));
    if (goes) acted = false;
    (goes ? push : replace)(state, title, address);
  };
  history.pushState = move;
  history.replaceState = move;
  for (const gesture of ["pointerdown", "keydown"]) addEventListener(gesture, () => (acted = true), true);
  addEventListener("popstate", () => (acted = false), true);
})();
