// The style guide's example of an uploader; it sends nothing anywhere.
import { shownTheme } from "./theme.js";
import { Dashboard, Uppy } from "../vendor/uppy.min.mjs";

const uppy = new Uppy({ autoProceed: false }).use(Dashboard, {
  target: "#uppy-example",
  inline: true,
  width: "100%",
  height: 320,
  proudlyDisplayPoweredByUppy: false,
  fileManagerSelectionType: "both",
  theme: shownTheme(),
});
document.addEventListener("themechange", (event) => uppy.getPlugin("Dashboard").setOptions({ theme: event.detail }));
