"""The rules of WCAG 2.1 A and AA that axe-core can check, asked in Chromium."""

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
NOT_OURS = [
    # Streamlit's menu puts a div for each heading between the list and its items.
    ("list", "[data-testid=stSidebarNavItems]"),
    ("listitem", "[data-testid=stSidebarNavItems]"),
    # Vega draws a brush as two marks without names, and its grammar has no setting for them. The chart has a name.
    ("svg-img-alt", "[data-testid=stVegaLiteChart] g[class*=brush_]"),
]
"""Rules that are broken inside the elements of a selector, by markup that comes from others."""
CHECK = """async ([place, rules, notOurs]) => {
  const options = { runOnly: rules, resultTypes: ["violations"], elementRef: true };
  const { violations } = await axe.run(place, options);
  return violations.flatMap(({ id, nodes }) => nodes
    .filter(({ element }) => !notOurs.some(([rule, place]) => rule === id && element?.closest(place)))
    .map(({ html, failureSummary }) => `${id}: ${html.slice(0, 300)}\n${failureSummary}`));
}"""
MAIN = "[data-testid=stMain]"
IS_DARK = "getComputedStyle(document.querySelector('.stApp')).backgroundColor === 'rgb(15, 18, 22)'"
"""True where the page has the ground of the dark theme."""


def broken(page, place: str = "html") -> list[str]:
    """Return what breaks a rule in a part of a page, with the reason. axe-core must be in the page."""
    return page.evaluate(CHECK, [place, RULES, NOT_OURS])
