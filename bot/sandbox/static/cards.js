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

/** A button of a card: a link, or one that the page cannot press because only the real client can. */
function button(url, names, label, say) {
  const link = url ? anchor(url, `button ${names}`, label) : null;
  if (link) return link;
  const dead = el("button", `button ${names}`, label);
  dead.type = "button";
  dead.disabled = true;
  dead.title = say("callback");
  return dead;
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
const unknown = (kind, say) => el("p", "unknown", say("not_drawn", { kind: String(kind) }));

// -- DingTalk: https://open.dingtalk.com/document/development/robot-message-type

const picture = (say) => [/!\[([^\]\n]*)\]\(([^()\s]*)\)/g, (m) => el("span", "picture", m[1] || say("image"))];

/** Headings, quotes, lists, bold, italic, links and pictures. A single line end is a blank, as in the client. */
export function dingtalkMarkdown(source, say) {
  const rules = [picture(say), markdownLink, bold, italic];
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
export function dingtalk(message, say) {
  const sample = part(message.msgParam);
  const kind = message.msgtype ?? message.msgKey ?? (message.card ? "card" : "");
  const everybody = part(message.at).isAtAll === true ? el("span", "mention", say("everybody")) : null;
  if (kind === "text" || kind === "sampleText") {
    const words = text(kind === "text" ? part(message.text).content : sample.content);
    return el("div", "bubble plain", words, everybody && " ", everybody);
  }
  if (kind === "markdown" || kind === "sampleMarkdown") {
    return el("div", "bubble", dingtalkMarkdown(part(message.markdown ?? sample).text, say), everybody);
  }
  if (kind === "actionCard" || /^sampleActionCard/.test(kind)) {
    const card = part(message.actionCard ?? sample);
    return el("div", "bubble card", dingtalkMarkdown(card.text, say), dingtalkButtons(card, say));
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
    const rows = Object.entries(part(message.values)).map(([name, value]) =>
      el("div", "fact", el("span", "", name), el("span", "", text(value))));
    return el("div", "bubble card", rows);
  }
  return el("div", "bubble", unknown(kind, say));
}

function dingtalkButtons(card, say) {
  const several = list(card.btns).map((one) => [one.title, one.actionURL]);
  for (let n = 1; n <= 6; n += 1) {
    if (card[`actionTitle${n}`]) several.push([card[`actionTitle${n}`], card[`actionURL${n}`]]);
    if (card[`buttonTitle${n}`]) several.push([card[`buttonTitle${n}`], card[`buttonUrl${n}`]]);
  }
  const all = card.singleTitle ? [[card.singleTitle, card.singleURL]] : several;
  const names = card.btnOrientation === "1" || card.buttonTitle1 ? "actions beside" : "actions";
  return all.length ? el("div", names, all.map(([title, url]) => button(url, "", text(title), say))) : null;
}

// -- WeCom: https://developer.work.weixin.qq.com/document/path/91770

const wecomMention = [/<@([\w.@-]+)>/g, (m) => el("span", "mention", `@${m[1]}`)];
const wecomFont = [
  /<font color="(info|comment|warning)">([^]*?)<\/font>/g,
  (m, inner) => el("span", `font-${m[1]}`, inner(m[2])),
];

/** Headings, bold, links, code, quotes and three font colours; every line end is one. */
export function wecomMarkdown(source, say, second = false) {
  const rules = second ? [code, picture(say), markdownLink, bold, italic] : [code, wecomFont, wecomMention, markdownLink, bold];
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
export function wecom(message, say) {
  const kind = message.msgtype;
  const body = part(message[kind]);
  if (kind === "text") {
    const named = [...list(body.mentioned_list), ...list(body.mentioned_mobile_list)];
    const mentions = named.map((one) => el("span", "mention", one === "@all" ? say("everybody") : `@${one}`, " "));
    return el("div", "bubble plain", mentions, inline(text(body.content), [wecomMention]));
  }
  if (kind === "markdown" || kind === "markdown_v2") {
    return el("div", "bubble", wecomMarkdown(body.content, say, kind === "markdown_v2"));
  }
  if (kind === "news") {
    const rows = list(body.articles).map((one) =>
      anchor(one.url, "row", el("strong", "", text(one.title)), el("span", "", text(one.description))));
    return el("div", "bubble card", rows);
  }
  if (kind === "template_card") return wecomCard(body, say);
  if (kind === "image") return el("div", "bubble", el("span", "picture", say("image")));
  return el("div", "bubble", unknown(kind, say));
}

function wecomCard(card, say) {
  const title = part(card.main_title);
  const strong = part(card.emphasis_content);
  const quote = part(card.quote_area);
  const facts = list(card.horizontal_content_list).map((one) =>
    el("div", "fact", el("span", "", text(one.keyname)),
      (one.type === 1 ? anchor(one.url, "", text(one.value)) : null) ?? el("span", "", text(one.value))));
  const jumps = list(card.jump_list).map((one) => button(one.url, "jump", text(one.title), say));
  const open = part(card.card_action).url;
  const heads = [text(title.title) && el("strong", "title", text(title.title)), text(title.desc) && el("span", "desc", text(title.desc))];
  return el("div", "bubble card",
    card.source ? el("div", "source", text(part(card.source).desc)) : null,
    (open ? anchor(open, "heads", heads) : null) ?? el("div", "heads", heads),
    strong.title ? el("div", "emphasis", el("strong", "", text(strong.title)), el("span", "", text(strong.desc))) : null,
    quote.quote_text || quote.title ? el("blockquote", "", text(quote.title), " ", text(quote.quote_text)) : null,
    card.sub_title_text ? el("p", "plain", text(card.sub_title_text)) : null,
    facts,
    jumps.length ? el("div", "actions", jumps) : null);
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
  return one.tag === "lark_md" ? larkMarkdown(one.content) : el("div", "plain", text(one.content));
}

function larkElement(element, say) {
  const one = part(element);
  switch (one.tag) {
    case "div":
      return el("div", "section",
        one.text ? larkText(one.text) : null,
        one.fields ? el("div", "fields", list(one.fields).map((field) =>
          el("div", part(field).is_short ? "field short" : "field", larkText(part(field).text)))) : null,
        one.extra ? larkElement(one.extra, say) : null);
    case "markdown":
      return larkMarkdown(one.content);
    case "hr":
      return document.createElement("hr");
    case "action":
      return el("div", "actions beside", list(one.actions).map((action) => larkElement(action, say)));
    case "button": {
      const url = one.url ?? part(one.multi_url).url ?? list(one.behaviors).map((b) => part(b).default_url).find(Boolean);
      return button(url, ["primary", "danger"].includes(one.type) ? one.type : "", larkText(one.text), say);
    }
    case "note":
      return el("div", "note", list(one.elements).map((small) => larkElement(small, say)));
    case "plain_text":
    case "lark_md":
      return larkText(one);
    case "img":
      return el("span", "picture", text(part(one.alt).content) || say("image"));
    case "column_set":
      return el("div", "columns", list(one.columns).map((column) =>
        el("div", "column", list(part(column).elements).map((inner) => larkElement(inner, say)))));
    default:
      return unknown(one.tag, say);
  }
}

/** A message of a group bot. */
export function lark(message, say) {
  const content = part(message.content);
  if (message.msg_type === "text") {
    const at = [/<at user_id=['"]?([\w-]+)['"]?>([^<]*)<\/at>/g, (m) => el("span", "mention", `@${m[2] || m[1]}`)];
    return el("div", "bubble plain", inline(text(content.text), [at]));
  }
  if (message.msg_type === "interactive") {
    const card = part(message.card);
    const head = part(card.header);
    const colour = larkTemplates.has(head.template) ? head.template : "default";
    const elements = card.elements ?? part(card.body).elements ?? Object.values(part(card.i18n_elements))[0];
    return el("div", "bubble card",
      card.header ? el("div", `head ${colour}`, text(part(head.title).content)) : null,
      el("div", "body", list(elements).map((one) => larkElement(one, say))));
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
  return el("div", "bubble", unknown(message.msg_type, say));
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

function slackBlock(value, say) {
  const block = part(value);
  switch (block.type) {
    case "header":
      return slackText(block.text, "header");
    case "section":
      return el("div", "section",
        block.text ? slackText(block.text) : null,
        block.fields ? el("div", "fields", list(block.fields).map((field) => slackText(field, "field plain"))) : null,
        block.accessory ? slackElement(block.accessory, say) : null);
    case "context":
      return el("div", "context", list(block.elements).map((one) =>
        (part(one).type === "image" ? el("span", "picture", text(one.alt_text)) : slackText(one))));
    case "actions":
      return el("div", "actions beside", list(block.elements).map((one) => slackElement(one, say)));
    case "divider":
      return document.createElement("hr");
    case "image":
      return el("span", "picture", text(block.alt_text) || say("image"));
    case "markdown":
      return dingtalkMarkdown(block.text, say);
    default:
      return unknown(block.type, say);
  }
}

function slackElement(value, say) {
  const one = part(value);
  if (one.type !== "button") return unknown(one.type, say);
  return button(one.url, ["primary", "danger"].includes(one.style) ? one.style : "", text(part(one.text).text), say);
}

/** A message of an incoming webhook. */
export function slack(message, say) {
  const words = text(message.text);
  const drawnText = message.mrkdwn === false
    ? el("div", "plain", slackLeaf(words))
    : el("div", "plain", inline(words, slackRules, slackLeaf));
  const attachments = list(message.attachments).map((one) => {
    const box = el("div", "attachment",
      one.blocks ? list(one.blocks).map((block) => slackBlock(block, say)) : el("div", "plain", text(one.text ?? one.fallback)));
    if (/^#[0-9a-f]{6}$/i.test(text(one.color))) box.style.borderLeftColor = one.color;
    return box;
  });
  return el("div", "bubble",
    message.blocks ? list(message.blocks).map((block) => slackBlock(block, say)) : words ? drawnText : null,
    attachments);
}

/** Platform -> its renderer: (message, say) => element. */
export const renderers = { dingtalk, wecom, lark, slack };
