import { render } from "preact";
import { App } from "./app";
import { connect } from "./live/live";
import { applySettings } from "./live/settings";
import "./style/tokens.css";
import "./style/base.css";
import "./style/frame.css";
import "./style/parts.css";
import "./style/pages.css";

applySettings();
connect();
const root = document.getElementById("app");
if (root !== null) render(<App />, root);
