// The scripts of every page.
import "./theme.js";
import "./menus.js";
import "./copy.js";
import "./confirm.js";
import "./requests.js";
import "./page.js";
