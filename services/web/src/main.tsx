import { render } from "preact";
import "./style/page.css";
import { App } from "./views/App";

const root = document.getElementById("page");
if (root) render(<App />, root);
