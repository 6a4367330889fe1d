/* Shortcuts, copying, menus. Every page works without this file. */
(function () {
  "use strict";

  /* Menus: close on Escape and on a click elsewhere. */
  document.addEventListener("click", function (event) {
    document.querySelectorAll("details.pop[open]").forEach(function (menu) {
      if (!menu.contains(event.target)) menu.open = false;
    });
  });
  document.addEventListener("keydown", function (event) {
    if (event.key !== "Escape") return;
    document.querySelectorAll("details.pop[open]").forEach(function (menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  });

  /* Copying: the button names what it copies by id. */
  document.addEventListener("click", function (event) {
    var button = event.target.closest("[data-copy]");
    if (!button || !navigator.clipboard) return;
    var source = document.getElementById(button.dataset.copy);
    navigator.clipboard.writeText(source.textContent.trim()).then(function () {
      var before = button.textContent;
      button.textContent = "Copied";
      setTimeout(function () { button.textContent = before; }, 1500);
    });
  });

  document.addEventListener("click", function (event) {
    if (event.target.closest("[data-shortcuts]") && openShortcuts()) event.preventDefault();
    if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
  });

  /* A tab nobody looks at does not ask for news. */
  document.addEventListener("htmx:beforeRequest", function (event) {
    if (document.hidden && event.target.hasAttribute("data-poll")) event.preventDefault();
  });

  function openShortcuts() {
    var dialog = document.getElementById("shortcuts");
    if (!dialog || !dialog.showModal) return false;
    if (!dialog.open) dialog.showModal();
    return true;
  }

  function typing(target) {
    return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) && !/^(radio|checkbox)$/.test(target.type);
  }

  function step(by) {
    var rows = Array.prototype.slice.call(document.querySelectorAll("[data-rows] th a"));
    if (!rows.length) return;
    var at = rows.indexOf(document.activeElement);
    rows[at < 0 ? 0 : Math.max(0, Math.min(rows.length - 1, at + by))].focus();
  }

  function choose(verdict) {
    var option = document.querySelector('.decide input[value="' + verdict + '"]');
    if (!option) return;
    option.checked = true;
    option.dispatchEvent(new Event("change", { bubbles: true }));
    document.querySelector(".decide textarea").focus();
  }

  function follow(selector) {
    var link = document.querySelector(selector);
    if (link) link.click();
    return Boolean(link);
  }

  var going = 0;
  var verdicts = { a: "approve", c: "request_changes", x: "reject", o: "abstain" };
  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || document.querySelector("dialog[open]")) return;
    var key = event.key, used = true;
    if (Date.now() - going < 1200) {
      going = 0;
      used = follow('[data-go="' + key + '"]');
    } else if (key === "g") going = Date.now();
    else if (key === "/") {
      var search = document.getElementById("q");
      if (search) search.focus();
    } else if (key === "?") openShortcuts();
    else if (key === "j") step(1);
    else if (key === "k") step(-1);
    else if (/^[1-8]$/.test(key)) used = follow('.tabs.stick li:nth-child(' + key + ') a');
    else if (verdicts[key]) choose(verdicts[key]);
    else if (key === "[") used = follow('[rel="prev"]');
    else if (key === "]") used = follow('[rel="next"]');
    else used = false;
    if (used) event.preventDefault();
  });
})();
