// Of the manual: the theme that was chosen on the screens of this browser, and "/" as there.
{
  let theme = null;
  try {
    theme = localStorage.getItem("riskengine/theme");
  } catch {
    // the browser keeps nothing
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target instanceof HTMLInputElement) return;
    event.preventDefault();
    document.getElementById("search").focus();
  });
}
