/**
 * What each platform's client draws for a message, from the JSON that was really sent. Every function is pure: message
 * in, DOM nodes out. Text gets into the page as text nodes only, and only markup that the platform documents is drawn;
 * everything else stays what it is, as in the client.
 */

/** An element. `null` and "" among the children are left out; strings become text nodes. */
export function el(tag, names, ...children) {
  const node = document.createElement(tag);
  if (names) node.className = names;
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== "") node.append(child);
  }
  return node;
}

/** A link that opens in a new tab, or null for an address that a client does not open. */
function anchor(url, names, ...children) {
  let target;
  try {
    target = new URL(String(url));
  } catch {
    return null;
  }
  if (target.protocol !== "https:" && target.protocol !== "http:") return null;
  const node = el("a", names, ...children);
  node.href = target.href;
  node.target = "_blank";
  node.rel = "noopener noreferrer";
  return node;
}

/** A button of a card: a link, one that calls back with its token, or one that nobody is called by. */
function button({ url, token, names = "", label }, ui) {
  const link = url ? anchor(url, `button ${names}`, label) : null;
  if (link) return link;
  const node = el("button", `button ${names}`, label);
  node.type = "button";
  if (token && ui.press) {
    node.addEventListener("click", () => pressed(node, () => ui.press(token, undefined, node.textContent)));
  } else {
    node.disabled = true;
    node.title = ui.say("callback");
  }
  return node;
}

/** While the callback is under way the button cannot be pressed again. */
async function pressed(node, act) {
  node.disabled = true;
  try {
    await act();
  } finally {
    node.disabled = false;
  }
}

let fields = 0;

/**
 * One field of a form. `read()` of the node is its value, of several choices comma-separated.
 * kind: "text", "long", "email", "url", "number" or "choices"; a choice is {value, label, chosen}.
 */
function formField({ name, label, kind = "text", value = "", hint = "", required = false, most = 0, placeholder = "", choices = [] }) {
  fields += 1;
  const id = `field-${fields}`;
  const several = kind === "choices";
  const box = el(several ? "fieldset" : "div", "form-field");
  box.dataset.field = name;
  if (several) {
    const boxes = choices.map((one) => {
      const input = el("input");
      input.type = "checkbox";
      input.value = one.value;
      input.checked = one.chosen;
      return el("label", "choice", input, el("span", "", one.label));
    });
    box.append(...(label ? [el("legend", "", label)] : []), el("div", "choices", boxes));
    box.read = () => [...box.querySelectorAll("input:checked")].map((one) => one.value).join(",");
  } else {
    const input = el(kind === "long" ? "textarea" : "input");
    if (kind === "long") input.rows = 3;
    else input.type = "text"; // what is wrong with a value is for the bot to say, as in the client
    if (["email", "url"].includes(kind)) input.inputMode = kind;
    input.id = id;
    input.value = value;
    input.placeholder = placeholder;
    input.autocomplete = "off";
    input.spellcheck = false;
    if (most) input.maxLength = most;
    input.required = required;
    const words = el("label", "", label || name);
    words.htmlFor = id;
    box.append(words, input);
    box.read = () => input.value;
  }
  if (hint) box.append(el("p", "hint", hint));
  const wrong = el("p", "wrong");
  wrong.id = `${id}-wrong`;
  wrong.hidden = true;
  (box.querySelector("input, textarea") ?? box).setAttribute("aria-describedby", wrong.id);
  box.append(wrong);
  return box;
}

/** Name -> value of every field in it. */
function valuesOf(form) {
  return Object.fromEntries([...form.querySelectorAll("[data-field]")].map((box) => [box.dataset.field, box.read()]));
}

/** Write what is wrong beside the fields, and go to the first of them. */
export function showErrors(form, errors) {
  const boxes = [...form.querySelectorAll("[data-field]")];
  for (const box of boxes) {
    const words = errors[box.dataset.field] ?? "";
    const wrong = box.querySelector(".wrong");
    wrong.textContent = words;
    wrong.hidden = !words;
    box.classList.toggle("bad", Boolean(words));
    const input = box.querySelector("input, textarea");
    if (input) input.setAttribute("aria-invalid", String(Boolean(words)));
  }
  boxes.find((box) => box.classList.contains("bad"))?.querySelector("input, textarea")?.focus();
}

/**
 * Text with the markup inside a line drawn. Rules are tried at every place and the earliest wins, of equally early ones
 * the first. A rule is [pattern with the flag g, (match, inner) => node or null]; null leaves the text as it is.
 */
function inline(text, rules, leaf = (plain) => plain) {
  const nodes = [];
  let done = 0;
  let from = 0;
  while (from < text.length) {
    let best = null;
    for (const rule of rules) {
      rule[0].lastIndex = from;
      const match = rule[0].exec(text);
      if (match && (best === null || match.index < best[0].index)) best = [match, rule[1]];
    }
    if (best === null) break;
    const [match, draw] = best;
    const node = draw(match, (inner) => inline(inner, rules, leaf));
    if (node === null) {
      from = match.index + 1;
      continue;
    }
    if (match.index > done) nodes.push(leaf(text.slice(done, match.index)));
    nodes.push(node);
    done = from = match.index + match[0].length;
  }
  if (done < text.length) nodes.push(leaf(text.slice(done)));
  return nodes;
}

const markdownLink = [/\[([^\]\n]*)\]\(([^()\s]*)\)/g, (m, inner) => anchor(m[2], "", inner(m[1]))];
const bold = [/\*\*(?=\S)([^\n]*?\S)\*\*/g, (m, inner) => el("strong", "", inner(m[1]))];
const italic = [/(?<![*\w])\*(?=[^\s*])([^*\n]*[^\s*])\*(?![*\w])/g, (m, inner) => el("em", "", inner(m[1]))];
const code = [/`([^`\n]+)`/g, (m) => el("code", "", m[1])];
const heading = (marks, nodes) => el(`h${Math.min(marks.length + 2, 6)}`, `h${marks.length}`, nodes);

const text = (value) => (typeof value === "string" ? value : "");
const list = (value) => (Array.isArray(value) ? value : []);
const part = (value) => (value !== null && typeof value === "object" ? value : {});
const unknown = (kind, ui) => el("p", "unknown", ui.say("not_drawn", { kind: String(kind) }));

// -- DingTalk: https://open.dingtalk.com/document/development/robot-message-type

const picture = (ui) => [/!\[([^\]\n]*)\]\(([^()\s]*)\)/g, (m) => el("span", "picture", m[1] || ui.say("image"))];

/** Headings, quotes, lists, bold, italic, links and pictures. A single line end is a blank, as in the client. */
export function dingtalkMarkdown(source, ui) {
  const rules = [picture(ui), markdownLink, bold, italic];
  const top = [];
  let open = null; // the block that lines are added to: {node, lines, parent}
  const close = () => {
    if (open) {
      open.lines.forEach((line, at) => {
        const last = at === open.lines.length - 1;
        open.node.append(...inline(line.replace(/[ \t]+$/, ""), rules));
        if (!last) open.node.append(/ {2,}$/.test(line) ? document.createElement("br") : " ");
      });
    }
    open = null;
  };
  const begin = (node, line) => {
    close();
    top.push(node);
    open = { node, lines: [line] };
  };
  for (const raw of text(source).split("\n")) {
    const line = raw.replace(/^[ \t]+/, "");
    let match;
    if (line.trim() === "") {
      close();
    } else if ((match = /^(#{1,6})[ \t]+(.*)$/.exec(line))) {
      close();
      top.push(heading(match[1], inline(match[2].trimEnd(), rules)));
    } else if ((match = /^>[ \t]?(.*)$/.exec(line))) {
      if (open && open.node.tagName === "BLOCKQUOTE") open.lines.push(match[1]);
      else begin(el("blockquote", ""), match[1]);
    } else if ((match = /^(?:[-*+]|(\d{1,9})[.)])[ \t]+(.*)$/.exec(line))) {
      const kind = match[1] ? "OL" : "UL";
      close();
      let holder = top.at(-1);
      if (!holder || holder.tagName !== kind) {
        holder = el(kind, "");
        if (match[1]) holder.start = Number(match[1]);
        top.push(holder);
      }
      const item = el("li", "");
      holder.append(item);
      open = { node: item, lines: [match[2]] };
    } else if (open) {
      open.lines.push(line);
    } else {
      begin(el("p", ""), line);
    }
  }
  close();
  return el("div", "markdown", top);
}

/** A message of a robot, of the session webhook, or of the app's API (`msgKey`, `msgParam`). */
export function dingtalk(message, ui) {
  const sample = part(message.msgParam);
  const kind = message.msgtype ?? message.msgKey ?? (message.card ? "card" : "");
  const everybody = part(message.at).isAtAll === true ? el("span", "mention", ui.say("everybody")) : null;
  if (kind === "text" || kind === "sampleText") {
    const words = text(kind === "text" ? part(message.text).content : sample.content);
    return el("div", "bubble plain", words, everybody && " ", everybody);
  }
  if (kind === "markdown" || kind === "sampleMarkdown") {
    return el("div", "bubble", dingtalkMarkdown(part(message.markdown ?? sample).text, ui), everybody);
  }
  if (kind === "actionCard" || /^sampleActionCard/.test(kind)) {
    const card = part(message.actionCard ?? sample);
    return el("div", "bubble card", dingtalkMarkdown(card.text, ui), dingtalkButtons(card, ui));
  }
  if (kind === "link" || kind === "sampleLink") {
    const link = part(message.link ?? sample);
    const words = [el("strong", "", text(link.title)), el("p", "", text(link.text))];
    return anchor(link.messageUrl, "bubble plain", words) ?? el("div", "bubble plain", words);
  }
  if (kind === "feedCard") {
    const rows = list(part(message.feedCard).links).map((one) => anchor(one.messageURL, "row", text(one.title)));
    return el("div", "bubble card", rows);
  }
  if (kind === "card") {
    const values = part(message.values);
    const buttons = [];
    for (let n = 1; values[`token${n}`]; n += 1) {
      buttons.push(button({ token: text(values[`token${n}`]), label: text(values[`button${n}`]) }, ui));
    }
    return el("div", "bubble card",
      values.title ? el("strong", "title", text(values.title)) : null,
      dingtalkMarkdown(values.text, ui),
      values.status === "open" && buttons.length ? el("div", "actions beside", buttons) : null);
  }
  return el("div", "bubble", unknown(kind, ui));
}

function dingtalkButtons(card, ui) {
  const several = list(card.btns).map((one) => [one.title, one.actionURL]);
  for (let n = 1; n <= 6; n += 1) {
    if (card[`actionTitle${n}`]) several.push([card[`actionTitle${n}`], card[`actionURL${n}`]]);
    if (card[`buttonTitle${n}`]) several.push([card[`buttonTitle${n}`], card[`buttonUrl${n}`]]);
  }
  const all = card.singleTitle ? [[card.singleTitle, card.singleURL]] : several;
  const names = card.btnOrientation === "1" || card.buttonTitle1 ? "actions beside" : "actions";
  return all.length ? el("div", names, all.map(([title, url]) => button({ url, label: text(title) }, ui))) : null;
}

// -- WeCom: https://developer.work.weixin.qq.com/document/path/91770

const wecomMention = [/<@([\w.@-]+)>/g, (m) => el("span", "mention", `@${m[1]}`)];
const wecomFont = [
  /<font color="(info|comment|warning)">([^]*?)<\/font>/g,
  (m, inner) => el("span", `font-${m[1]}`, inner(m[2])),
];

/** Headings, bold, links, code, quotes and three font colours; every line end is one. */
export function wecomMarkdown(source, ui, second = false) {
  const rules = second ? [code, picture(ui), markdownLink, bold, italic] : [code, wecomFont, wecomMention, markdownLink, bold];
  const top = [];
  for (const line of text(source).split("\n")) {
    let match;
    if ((match = /^(#{1,6})[ \t]+(.*)$/.exec(line))) {
      top.push(heading(match[1], inline(match[2], rules)));
    } else if ((match = /^>+[ \t]?(.*)$/.exec(line))) {
      const quote = top.at(-1)?.tagName === "BLOCKQUOTE" ? top.at(-1) : el("blockquote", "");
      if (quote !== top.at(-1)) top.push(quote);
      quote.append(el("div", "", inline(match[1], rules)));
    } else if (second && (match = /^[ \t]*(?:[-*+]|\d+\.)[ \t]+(.*)$/.exec(line))) {
      const items = top.at(-1)?.tagName === "UL" ? top.at(-1) : el("ul", "");
      if (items !== top.at(-1)) top.push(items);
      items.append(el("li", "", inline(match[1], rules)));
    } else {
      top.push(el("div", line ? "line" : "line empty", inline(line, rules)));
    }
  }
  return el("div", "markdown", top);
}

/** A message of a group robot. */
export function wecom(message, ui) {
  const kind = message.msgtype;
  const body = part(message[kind]);
  if (kind === "text") {
    const named = [...list(body.mentioned_list), ...list(body.mentioned_mobile_list)];
    const mentions = named.map((one) => el("span", "mention", one === "@all" ? ui.say("everybody") : `@${one}`, " "));
    return el("div", "bubble plain", mentions, inline(text(body.content), [wecomMention]));
  }
  if (kind === "markdown" || kind === "markdown_v2") {
    return el("div", "bubble", wecomMarkdown(body.content, ui, kind === "markdown_v2"));
  }
  if (kind === "news") {
    const rows = list(body.articles).map((one) =>
      anchor(one.url, "row", el("strong", "", text(one.title)), el("span", "", text(one.description))));
    return el("div", "bubble card", rows);
  }
  if (kind === "template_card") return wecomCard(body, ui);
  if (kind === "stream" || kind === "stream_with_template_card") {
    const words = text(part(message.stream).content);
    return el("div", "stack",
      words ? el("div", "bubble", wecomMarkdown(words, ui, true)) : null,
      message.template_card ? wecomCard(message.template_card, ui) : null);
  }
  if (kind === "image") return el("div", "bubble", el("span", "picture", ui.say("image")));
  return el("div", "bubble", unknown(kind, ui));
}

function wecomCard(card, ui) {
  const title = part(card.main_title);
  const strong = part(card.emphasis_content);
  const quote = part(card.quote_area);
  const facts = list(card.horizontal_content_list).map((one) =>
    el("div", "fact", el("span", "", text(one.keyname)),
      (one.type === 1 ? anchor(one.url, "", text(one.value)) : null) ?? el("span", "", text(one.value))));
  const jumps = list(card.jump_list).map((one) => button({ url: one.url, names: "jump", label: text(one.title) }, ui));
  const buttons = list(card.button_list).map((one) =>
    button({ url: one.url, token: one.key, names: `style${Number(one.style) || 1}`, label: text(one.text) }, ui));
  const open = part(card.card_action).url;
  const heads = [text(title.title) && el("strong", "title", text(title.title)), text(title.desc) && el("span", "desc", text(title.desc))];
  return el("div", "bubble card",
    card.source ? el("div", "source", text(part(card.source).desc)) : null,
    (open ? anchor(open, "heads", heads) : null) ?? el("div", "heads", heads),
    strong.title ? el("div", "emphasis", el("strong", "", text(strong.title)), el("span", "", text(strong.desc))) : null,
    quote.quote_text || quote.title ? el("blockquote", "", text(quote.title), " ", text(quote.quote_text)) : null,
    card.sub_title_text ? el("p", "plain", text(card.sub_title_text)) : null,
    facts,
    jumps.length ? el("div", "actions", jumps) : null,
    card.replace_text
      ? el("div", "actions beside", button({ label: text(card.replace_text) }, ui))
      : buttons.length ? el("div", "actions beside", buttons) : null);
}

// -- Lark: https://open.feishu.cn/document/common-capabilities/message-card/message-cards-content

const larkTemplates = new Set([
  "blue", "wathet", "turquoise", "green", "yellow", "orange", "red", "carmine", "violet", "purple", "indigo", "grey",
]);
const larkRules = [
  code,
  [/<font color=['"]?(green|red|grey)['"]?>([^]*?)<\/font>/g, (m, inner) => el("span", `font-${m[1]}`, inner(m[2]))],
  [/<at (?:user_)?id=['"]?([\w-]+)['"]?>([^<]*)<\/at>/g, (m) => el("span", "mention", `@${m[2] || m[1]}`)],
  [/\[([^\]\n]*)\]\((https?:[^()\s]*)\)/g, (m, inner) => anchor(m[2], "", inner(m[1]))],
  bold,
  [/~~(?=\S)([^\n]*?\S)~~/g, (m, inner) => el("s", "", inner(m[1]))],
  italic,
];
const numericEntities = (plain) => plain.replace(/&#(\d{1,6});/g, (whole, n) =>
  (Number(n) <= 0x10ffff ? String.fromCodePoint(Number(n)) : whole));

function larkMarkdown(source) {
  return el("div", "markdown", text(source).split("\n").map((line) => {
    const item = /^[ \t]*[-*][ \t]+(.*)$/.exec(line);
    if (/^-{3,}$/.test(line.trim())) return document.createElement("hr");
    return el("div", item ? "item" : line ? "line" : "line empty", inline(item ? item[1] : line, larkRules, numericEntities));
  }));
}

function larkText(value) {
  const one = part(value);
  if (one.text_size === "notation") return el("div", "note plain", text(one.content));
  return one.tag === "lark_md" ? larkMarkdown(one.content) : el("div", "plain", text(one.content));
}

function larkElement(element, ui) {
  const one = part(element);
  switch (one.tag) {
    case "div":
      return el("div", "section",
        one.text ? larkText(one.text) : null,
        one.fields ? el("div", "fields", list(one.fields).map((field) =>
          el("div", part(field).is_short ? "field short" : "field", larkText(part(field).text)))) : null,
        one.extra ? larkElement(one.extra, ui) : null);
    case "markdown":
      return larkMarkdown(one.content);
    case "hr":
      return document.createElement("hr");
    case "action":
      return el("div", "actions beside", list(one.actions).map((action) => larkElement(action, ui)));
    case "button": {
      const calls = [one.value, ...list(one.behaviors).map((b) => part(b).value)].map((value) => part(value).callboard);
      const url = one.url ?? part(one.multi_url).url ?? list(one.behaviors).map((b) => part(b).default_url).find(Boolean);
      const names = /^(primary|danger)/.exec(text(one.type))?.[1] ?? "";
      if (one.form_action_type === "submit") {
        const node = el("button", `button ${names}`, larkText(one.text));
        node.dataset.token = text(calls.find(Boolean));
        return node;
      }
      return button({ url, token: calls.find(Boolean), names, label: larkText(one.text) }, ui);
    }
    case "form": {
      const form = el("form", "form", list(one.elements).map((inner) => larkElement(inner, ui)));
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        const node = event.submitter ?? form.querySelector("[data-token]");
        if (node?.dataset.token && ui.press) {
          pressed(node, () => ui.press(node.dataset.token, valuesOf(form), node.textContent));
        }
      });
      return form;
    }
    case "input":
      return formField({
        name: text(one.name),
        label: text(part(one.label).content),
        kind: one.input_type === "multiline_text" ? "long" : "text",
        value: text(one.default_value),
        placeholder: text(part(one.placeholder).content),
        required: one.required === true,
        most: Number(one.max_length) || 0,
      });
    case "multi_select_static":
      return formField({
        name: text(one.name),
        kind: "choices",
        choices: list(one.options).map((option) => ({
          value: text(option.value),
          label: text(part(option.text).content),
          chosen: list(one.selected_values).includes(option.value),
        })),
      });
    case "note":
      return el("div", "note", list(one.elements).map((small) => larkElement(small, ui)));
    case "plain_text":
    case "lark_md":
      return larkText(one);
    case "img":
      return el("span", "picture", text(part(one.alt).content) || ui.say("image"));
    case "column_set":
      return el("div", "columns", list(one.columns).map((column) =>
        el("div", "column", list(part(column).elements).map((inner) => larkElement(inner, ui)))));
    default:
      return unknown(one.tag, ui);
  }
}

/** A message of a group bot. */
export function lark(message, ui) {
  const content = part(message.content);
  if (message.msg_type === "text") {
    const at = [/<at user_id=['"]?([\w-]+)['"]?>([^<]*)<\/at>/g, (m) => el("span", "mention", `@${m[2] || m[1]}`)];
    return el("div", "bubble plain", inline(text(content.text), [at]));
  }
  if (message.msg_type === "interactive") {
    const card = part(message.card ?? message.content); // of a robot, of an app
    const head = part(card.header);
    const colour = larkTemplates.has(head.template) ? head.template : "default";
    const elements = card.elements ?? part(card.body).elements ?? Object.values(part(card.i18n_elements))[0];
    return el("div", "bubble card",
      card.header ? el("div", `head ${colour}`, text(part(head.title).content)) : null,
      el("div", "body", list(elements).map((one) => larkElement(one, ui))));
  }
  if (message.msg_type === "post") {
    const post = part(Object.values(part(content.post))[0]);
    const lines = list(post.content).map((line) => el("div", "line", list(line).map((node) => {
      const words = text(part(node).text);
      if (part(node).tag === "a") return anchor(node.href, "", words) ?? words;
      return part(node).tag === "at" ? el("span", "mention", `@${text(node.user_id)}`) : words;
    })));
    return el("div", "bubble", post.title ? el("strong", "", text(post.title)) : null, lines);
  }
  return el("div", "bubble", unknown(message.msg_type, ui));
}

// -- Slack: https://api.slack.com/reference/surfaces/formatting, https://api.slack.com/reference/block-kit/blocks

const slackLeaf = (plain) => plain.replace(/&(lt|gt|amp);/g, (whole, name) => ({ lt: "<", gt: ">", amp: "&" })[name]);
const slackMention = { "!here": "@here", "!channel": "@channel", "!everyone": "@everyone" };
const slackRules = [
  [/```\n?([^]*?)```/g, (m) => el("pre", "", slackLeaf(m[1]))],
  [/`([^`\n]+)`/g, (m) => el("code", "", slackLeaf(m[1]))],
  [/<([^<>\n]+)>/g, (m) => {
    const [target, label] = m[1].split("|", 2);
    if (/^[@#!]/.test(target)) return el("span", "mention", slackMention[target] ?? slackLeaf(label ?? target));
    return anchor(slackLeaf(target), "", slackLeaf(label ?? target));
  }],
  [/(?<![\w*])\*(?=[^\s*])([^*\n]*[^\s*])\*(?![\w*])/g, (m, inner) => el("strong", "", inner(m[1]))],
  [/(?<![\w_])_(?=[^\s_])([^_\n]*[^\s_])_(?![\w_])/g, (m, inner) => el("em", "", inner(m[1]))],
  [/(?<![\w~])~(?=[^\s~])([^~\n]*[^\s~])~(?![\w~])/g, (m, inner) => el("s", "", inner(m[1]))],
];

function slackText(value, names = "plain") {
  const one = part(value);
  if (one.type === "plain_text") return el("div", names, text(one.text));
  return el("div", names, inline(text(one.text), slackRules, slackLeaf));
}

function slackBlock(value, ui) {
  const block = part(value);
  switch (block.type) {
    case "header":
      return slackText(block.text, "header");
    case "section":
      return el("div", "section",
        block.text ? slackText(block.text) : null,
        block.fields ? el("div", "fields", list(block.fields).map((field) => slackText(field, "field plain"))) : null,
        block.accessory ? slackElement(block.accessory, ui) : null);
    case "context":
      return el("div", "context", list(block.elements).map((one) =>
        (part(one).type === "image" ? el("span", "picture", text(one.alt_text)) : slackText(one))));
    case "actions":
      return el("div", "actions beside", list(block.elements).map((one) => slackElement(one, ui)));
    case "divider":
      return document.createElement("hr");
    case "image":
      return el("span", "picture", text(block.alt_text) || ui.say("image"));
    case "markdown":
      return dingtalkMarkdown(block.text, ui);
    default:
      return unknown(block.type, ui);
  }
}

function slackElement(value, ui) {
  const one = part(value);
  if (one.type !== "button") return unknown(one.type, ui);
  const names = ["primary", "danger"].includes(one.style) ? one.style : "";
  return button({ url: one.url, token: one.value, names, label: text(part(one.text).text) }, ui);
}

/** A message of an incoming webhook. */
export function slack(message, ui) {
  const words = text(message.text);
  const drawnText = message.mrkdwn === false
    ? el("div", "plain", slackLeaf(words))
    : el("div", "plain", inline(words, slackRules, slackLeaf));
  const attachments = list(message.attachments).map((one) => {
    const box = el("div", "attachment",
      one.blocks ? list(one.blocks).map((block) => slackBlock(block, ui)) : el("div", "plain", text(one.text ?? one.fallback)));
    if (/^#[0-9a-f]{6}$/i.test(text(one.color))) box.style.borderLeftColor = one.color;
    return box;
  });
  return el("div", "bubble",
    message.blocks ? list(message.blocks).map((block) => slackBlock(block, ui)) : words ? drawnText : null,
    attachments);
}

/** The app's own page. */
export function slackHome(view, ui) {
  return el("div", "bubble", list(view.blocks).map((block) => slackBlock(block, ui)));
}

const slackInputs = { plain_text_input: "text", email_text_input: "email", url_text_input: "url", number_input: "number" };

function slackInput(block, ui) {
  const element = part(block.element);
  const common = {
    name: text(block.block_id),
    label: text(part(block.label).text) + (block.optional ? ` ${ui.say("optional")}` : ""),
    hint: text(part(block.hint).text),
    placeholder: text(part(element.placeholder).text),
  };
  if (element.type === "multi_static_select") {
    const chosen = list(element.initial_options).map((one) => one.value);
    const choices = list(element.options).map((one) => ({
      value: text(one.value), label: text(part(one.text).text), chosen: chosen.includes(one.value),
    }));
    return formField({ ...common, kind: "choices", choices });
  }
  if (!slackInputs[element.type]) return unknown(element.type, ui);
  return formField({
    ...common,
    kind: element.multiline ? "long" : slackInputs[element.type],
    value: text(element.initial_value),
    required: !block.optional,
    most: Number(element.max_length) || 0,
  });
}

/** A modal as a form; `close()` is called by what the client closes it with. */
export function slackModal(view, ui, close) {
  const title = el("h3", "", text(part(view.title).text));
  const away = el("button", "quiet icon away", "×");
  away.setAttribute("aria-label", ui.say("close"));
  const cancel = el("button", "button", text(part(view.close).text) || ui.say("cancel"));
  for (const node of [away, cancel]) {
    node.type = "button";
    node.addEventListener("click", close);
  }
  const submit = view.submit ? el("button", "button primary", text(part(view.submit).text)) : null;
  const form = el("form", "modal",
    el("header", "", title, away),
    el("div", "fields-of-form", list(view.blocks).map((block) =>
      (part(block).type === "input" ? slackInput(block, ui) : slackBlock(block, ui)))),
    el("footer", "", cancel, submit));
  form.setAttribute("role", "dialog");
  form.setAttribute("aria-label", title.textContent);
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    pressed(submit, () => ui.press(text(view.private_metadata).split(" ")[0], valuesOf(form), submit.textContent));
  });
  return form;
}

/** Platform -> its renderer: (message, ui) => element. `ui` is {say, press}; without `press` nothing can be pressed. */
export const renderers = { dingtalk, wecom, lark, slack };
