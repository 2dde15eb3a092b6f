/** Windows, live updates, typing and the guided tour. How messages look is in cards.js, what is said in words.js. */

import { el, renderers, showErrors, slackHome, slackModal } from "./cards.js";
import { fill, preferred, tables } from "./words.js";

const CHATS = ["dingtalk", "wecom", "lark", "slack"];
const WINDOWS = [...CHATS, "phone", "mail"];
const SIGNS = { dingtalk: "钉", wecom: "企", lark: "飞", slack: "#" };
const PLACES = { dingtalk: ["group", "direct"], wecom: ["group", "direct"], lark: ["group", "direct"], slack: ["group", "direct", "home"] };
const MENTION = "@Callboard ";
const SLASH = "/callboard";
const BEHIND = { phone: "alibaba" }; // window -> platform that may be a real one, where the names differ
const PAUSE_MS = 250; // between polls, so that a service that stops finds an idle connection
const RETRY_MS = 1500;
const TOAST_MS = 6000;
const KEPT = 400; // messages in a window

const $ = (id) => document.getElementById(id);

let language = preferred();
let world = null; // what /sandbox/state said
let run = "";
let last = 0;
let seen = []; // every event of this run, to draw them anew in another language
let who = ""; // id of the person the visitor is
let active = "dingtalk"; // the chat that was used last
let step = 0;
let hasSource = false;
let sampled = false;
const done = new Set();

/** What is open in each chat, and what was said there, for arrow up. */
const chats = Object.fromEntries(CHATS.map((name) => [name, { place: name === "dingtalk" ? "direct" : "group", said: [], at: 0 }]));
/** Person -> the event of the Slack form that is open for them. */
const forms = new Map();

const say = (name, values) => fill(tables[language][name], values);
const person = (id) => world.people.find((one) => one.id === id);
const known = (platform, id) => world.people.find((one) => one.on[platform].id === id);
const self = (platform) => person(who).on[platform];
const inside = (name, selector) => $(`w-${name}`).querySelector(selector);
const logOf = (name, place = chats[name].place) => $(`log-${name}-${place}`);
const fieldOf = (name) => inside(name, "textarea");
const shownName = (one) => (language === "zh" ? one.name : `${one.also} ${one.name}`);
const clock = (at) => new Date(at * 1000).toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

async function ask(path, body) {
  const answer = await fetch(path, {
    method: body === undefined ? "GET" : "POST",
    headers: { "Accept-Language": language, ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
    body: body === undefined ? undefined : JSON.stringify(body),
    cache: "no-store",
  });
  let content;
  try {
    content = await answer.json();
  } catch {
    content = {};
  }
  if (!answer.ok) throw new Error(content.error || String(answer.status));
  return content;
}

// -- words

function translate() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.title = `Callboard ${say("sandbox")}`;
  for (const node of document.querySelectorAll("[data-say]")) node.textContent = say(node.dataset.say);
  $("tabs").setAttribute("aria-label", say("windows"));
  $("language").textContent = language === "zh" ? "English" : "中文";
  $("language").lang = language === "zh" ? "en" : "zh-CN";
  for (const name of ["phone", "mail"]) $(`log-${name}`).setAttribute("aria-label", say(name));
  for (const name of CHATS) {
    $(`t-${name}`).textContent = say(name);
    inside(name, ".composer label").textContent = say("say_label", { name: say(name) });
    for (const label of [[".enlarge", "enlarge"], [".copy", "copy_label"]]) {
      const node = inside(name, label[0]);
      node.title = say(label[1], { name: say(name) });
      node.setAttribute("aria-label", node.title);
    }
    inside(name, ".real").textContent = say("real_chat", { name: say(name) });
    for (const place of PLACES[name]) logOf(name, place).setAttribute("aria-label", `${say(name)} ${placeName(name, place)}`);
  }
  drawSwitches();
  drawTabs();
  CHATS.forEach(drawPlace);
  drawTour();
  drawSampleNote();
  redraw();
}

const placeName = (name, place) => (place === "group" ? world.groups[name].title : say(place === "home" ? "home" : "direct"));

function choice(holder, name, value, label, checked, chosen) {
  const input = el("input");
  input.type = "radio";
  input.name = name;
  input.value = value;
  input.checked = checked;
  input.addEventListener("change", () => chosen(value));
  const node = el("label", "", input, el("span", "", label));
  node.dataset.value = value;
  holder.append(node);
}

function drawSwitches() {
  const people = $("people");
  people.querySelectorAll("label").forEach((label) => label.remove());
  for (const one of world.people) {
    const name = language === "zh" ? [one.name] : [one.also, el("span", "native", ` ${one.name}`)];
    const label = [...name, el("small", "", say(one.admin ? "admin" : "member"))];
    choice(people, "who", one.id, label, one.id === who, (id) => {
      who = id;
      redraw();
      for (const name of CHATS) {
        if (chats[name].place === "home") go(name, "home"); // is made anew for each person
        else drawPlace(name);
      }
      drawTour();
    });
  }
  for (const name of CHATS) {
    const places = inside(name, ".places");
    places.querySelectorAll("label").forEach((label) => label.remove());
    for (const place of PLACES[name]) {
      choice(places, `where-${name}`, place, placeName(name, place), place === chats[name].place, (value) => go(name, value));
    }
  }
}

// -- windows

/** The four chats, from their template. */
function build() {
  for (const name of CHATS) {
    const box = $(`w-${name}`);
    box.append($("chat").content.cloneNode(true));
    box.querySelector(".sign").textContent = SIGNS[name];
    box.querySelector("h2").id = `t-${name}`;
    for (const log of box.querySelectorAll(".log")) log.id = `log-${name}-${log.dataset.place}`;
    if (PLACES[name].includes("home")) {
      const home = el("div", "log home");
      home.id = `log-${name}-home`;
      home.tabIndex = 0;
      home.setAttribute("role", "region");
      box.querySelector(".toast").before(home);
    }
    const field = box.querySelector("textarea");
    field.id = `text-${name}`;
    box.querySelector(".composer label").htmlFor = field.id;
    box.querySelector(".enlarge").addEventListener("click", () => {
      arrange(name);
      field.focus();
    });
    box.querySelector(".copy").addEventListener("click", () => copy(name));
    box.addEventListener("focusin", () => turnTo(name));
    listen(name, field);
  }
  arrange(active);
}

/** That chat gets the big window; matters where several fit. */
function arrange(name) {
  const small = ["a", "b", "c"];
  for (const one of CHATS) {
    const big = one === name;
    $(`w-${one}`).style.gridArea = big ? "big" : small.shift();
    inside(one, ".enlarge").hidden = big;
  }
  if (world) CHATS.forEach((one) => bottom(logOf(one)));
}

/** That chat is the one that examples are filled into. */
function turnTo(name) {
  if (active === name || !world) return;
  active = name;
  drawTour();
}

function drawTabs() {
  const tabs = $("tabs");
  const current = document.querySelector(".window.current")?.id.slice(2) ?? "dingtalk";
  tabs.replaceChildren(...WINDOWS.map((name) => {
    const tab = el("button", "", say(name));
    tab.type = "button";
    tab.dataset.window = name;
    tab.addEventListener("click", () => show(name));
    return tab;
  }));
  show(current);
}

/** Bring a window to the front; matters where only one fits. */
function show(name) {
  for (const one of WINDOWS) $(`w-${one}`).classList.toggle("current", one === name);
  for (const tab of $("tabs").children) {
    const mine = tab.dataset.window === name;
    tab.setAttribute("aria-pressed", String(mine));
    if (mine) unmark(tab);
  }
  bottom(CHATS.includes(name) ? logOf(name) : $(`log-${name}`));
}

function go(name, place) {
  chats[name].place = place;
  for (const input of inside(name, ".places").querySelectorAll("input")) input.checked = input.value === place;
  drawPlace(name);
  if (place === "home") passOn("/sandbox/home", { who }, name);
}

function drawPlace(name) {
  const { place } = chats[name];
  for (const one of PLACES[name]) logOf(name, one).hidden = one !== place;
  inside(name, ".composer").hidden = place === "home";
  inside(name, ".composer .mention").hidden = place !== "group";
  fieldOf(name).placeholder = say(name === "slack" ? "hint_slack" : "hint");
  const label = inside(name, `.places [data-value="${place}"]`);
  if (label) unmark(label);
  bottom(logOf(name));
}

/** To the newest message; of one that is taller than its window, to its beginning. */
function bottom(log) {
  const newest = log.lastElementChild;
  const start = newest ? newest.offsetTop - log.offsetTop - 10 : 0;
  log.scrollTop = newest && newest.offsetHeight > log.clientHeight - 20 ? start : log.scrollHeight;
}

function mark(node) {
  if (node.querySelector(".dot")) return;
  const dot = el("i", "dot", el("span", "unseen", say("new_messages")));
  node.append(dot);
}

const unmark = (node) => node.querySelector(".dot")?.remove();

// -- events

/** Which log shows an event: [window, place]; null when this person does not see it. */
function logFor(event) {
  if (event.platform === "sms") return ["phone", ""];
  if (!CHATS.includes(event.platform)) return [event.platform, ""];
  const mine = self(event.platform);
  if (event.kind === "home") return event.person === mine.id ? [event.platform, "home"] : null;
  if (whispered(event) && event.person !== mine.id) return null;
  const all = event.place === world.groups[event.platform].id;
  if (event.kind === "update" && all && event.person && event.person !== mine.id) return null; // as one person sees it
  if (event.place === mine.chat) return [event.platform, "direct"];
  // What a platform refused without saying whose it was is shown to everybody.
  return all || !event.place ? [event.platform, "group"] : null;
}

/** Only one person in the group sees it: an ephemeral message, and the slash command that it answers. */
const whispered = (event) => event.note.startsWith("ephemeral") || (event.kind === "typed" && slashed(event));
const slashed = (event) => event.platform === "slack" && String(event.body).split(" ")[0] === SLASH;

/** Add one event to its window. `fresh`: it has just happened. */
function draw(event, fresh) {
  if (event.kind === "form") {
    if (fresh) drawForm(event);
    return;
  }
  const found = logFor(event);
  if (found === null) return;
  const [name, place] = found;
  const log = place ? logOf(name, place) : $(`log-${name}`);
  if (!log) return;
  if (event.kind === "home") {
    keepingFocus(log, () => log.replaceChildren(slackHome(event.body, uiOf(event))));
    return;
  }
  if (event.kind === "update" && change(event, log)) return;
  const node = drawn(event, log, place);
  if (node === null) return;
  const newest = log.lastElementChild;
  const wasSeen = !newest || newest.offsetTop - log.offsetTop < log.scrollTop + log.clientHeight;
  const follow = wasSeen || event.kind === "typed";
  log.querySelector(".empty-log")?.remove();
  if (name === "mail") log.prepend(node);
  else log.append(node);
  while (log.children.length > KEPT) (name === "mail" ? log.lastChild : log.firstChild).remove();
  if (follow && name !== "mail") bottom(log);
  if (!fresh) return;
  if (place && place !== chats[name].place) mark(inside(name, `.places [data-value="${place}"]`));
  const tab = [...$("tabs").children].find((one) => one.dataset.window === name);
  if (tab && !$(`w-${name}`).classList.contains("current")) mark(tab);
}

/** What the renderer needs of the page to draw this event. Messages of robots have nothing that calls back. */
function uiOf(event) {
  if (event.kind === "card") return { say };
  return { say, press: (token, values, label) => press(event, token, values, label) };
}

/** Draw a message that was changed in its place; false when it is not here (any more). */
function change(event, log) {
  const old = log.querySelector(`[data-ref="${CSS.escape(event.ref)}"]`);
  if (!event.ref || !old) return false;
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const slot = old.querySelector(".content");
  keepingFocus(slot, () => slot.replaceChildren(...contentOf(event)));
  if (atEnd) bottom(log);
  return true;
}

/** Who had the focus on what is drawn anew finds it there again. */
function keepingFocus(holder, redrawn) {
  const had = holder.contains(document.activeElement) && document.activeElement !== holder;
  redrawn();
  if (had) (holder.querySelector("button:enabled, a, input") ?? holder.closest(".log")).focus({ preventScroll: true });
}

/** Lines that the platform's client writes around a message, and the message. */
function contentOf(event) {
  const only = whispered(event) ? el("div", "whisper", say("only_you")) : null;
  return [only, renderers[event.platform](event.body, uiOf(event))].filter(Boolean);
}

function drawn(event, log, place) {
  if (event.kind === "refused") return refusal(event, log);
  if (event.kind === "typed") return typed(event, place);
  if (event.kind === "sms" || event.kind === "call") return textMessage(event);
  if (event.kind === "mail") return mail(event);
  const app = event.platform === "slack" ? say("app") : event.kind === "card" ? say("robot") : null;
  const node = message("C", "robot", say("bot"), event.at, contentOf(event), app);
  if (event.ref) node.dataset.ref = event.ref;
  return node;
}

function message(letter, names, name, at, body, badge) {
  return el("article", `message ${names}`,
    el("span", "avatar", letter),
    el("div", "said",
      el("div", "by", el("b", "", name), badge ? el("span", "app", badge) : null, el("time", "", clock(at))),
      el("div", "content", body)));
}

function typed(event, place) {
  const one = known(event.platform, event.person);
  const mine = one?.id === who;
  const words = String(event.body);
  const plain = words.startsWith(MENTION) ? words.slice(MENTION.length) : words;
  const mention = place === "group" && !slashed(event) ? el("span", "mention", MENTION.trim()) : null;
  const name = one ? shownName(one) : event.person;
  return message(one ? one.name.slice(0, 1) : "?", mine ? "mine" : "other", name, event.at,
    [whispered(event) ? el("div", "whisper", say("only_you")) : null, el("div", "bubble plain", mention, mention && " ", plain)], null);
}

const owner = (field, value) => {
  const one = world.people.find((known) => known[field] === value);
  return one ? `${shownName(one)} · ${value}` : value;
};

function textMessage(event) {
  const { text, sign, params } = event.body;
  const words = text || `【${sign}】${Object.values(params ?? {}).join(" ")}`;
  const how = event.kind === "call" ? "called" : "to";
  return el("article", "message sms",
    el("div", "by", el("b", "", say(how, { who: owner("phone", event.place) })), el("time", "", clock(event.at))),
    el("div", "bubble plain", words));
}

function mail(event) {
  const body = event.body;
  const plain = el("pre", "plain", body.plain);
  const inside = el("div", "letter", plain);
  const box = el("details", "message letter-row",
    el("summary", "",
      el("span", "subject", body.subject), el("time", "", clock(event.at)),
      el("span", "by", say("to", { who: owner("mailbox", event.place) }))),
    el("p", "by", say("from", { who: body.from })),
    inside);
  if (body.html) {
    // Its own origin, no scripts, no pictures from outside: see the policy of the address it comes from.
    const frame = el("iframe");
    frame.setAttribute("sandbox", "");
    frame.title = body.subject;
    const both = el("fieldset", "switch", el("legend", "unseen", say("mail")));
    const turn = (to) => {
      plain.hidden = to === "html";
      frame.hidden = to !== "html";
    };
    choice(both, `mail-${event.seq}`, "html", say("html"), true, turn);
    choice(both, `mail-${event.seq}`, "plain", say("plain"), false, turn);
    inside.prepend(both, frame);
    turn("html");
    box.addEventListener("toggle", () => {
      if (box.open && !frame.src) frame.src = `/sandbox/mail/${event.seq}`;
    });
  }
  return box;
}

function refusal(event, log) {
  const name = event.platform === "sms" ? "phone" : event.platform;
  const code = event.note.split(":")[0];
  const known = tables[language].reasons[`${event.platform}:${code}`];
  const reason = known ? `${known} (${code})` : event.note;
  const words = say("refused", { platform: say(name), reason });
  const previous = log.lastElementChild;
  if (previous?.dataset.refusal === words) {
    previous.dataset.count = String(Number(previous.dataset.count) + 1);
    previous.querySelector("b").textContent = say("times", { n: previous.dataset.count });
    return null;
  }
  const node = system(words);
  node.append(el("b"));
  node.dataset.refusal = words;
  node.dataset.count = "1";
  return node;
}

const system = (words) => el("p", "system", words, " ");

function redraw() {
  for (const name of CHATS) {
    for (const place of PLACES[name]) {
      const hint = place === "group" ? say("empty_group") : say(place === "home" ? "empty_home" : "empty_direct");
      logOf(name, place).replaceChildren(el("p", "empty-log", hint));
    }
  }
  $("log-phone").replaceChildren(el("p", "empty-log", say("empty_phone")));
  $("log-mail").replaceChildren(el("p", "empty-log", say("empty_mail")));
  for (const event of seen) draw(event, false);
  CHATS.forEach((name) => bottom(logOf(name)));
  bottom($("log-phone"));
  showForm();
}

// -- forms and toasts

/** A form that was opened, changed or closed for a person, or a line shown for some seconds. */
function drawForm(event) {
  if (event.body?.toast) {
    if (event.person === self(event.platform).id) toast(event.platform, event.body.toast);
    return;
  }
  const open = forms.get(event.person);
  if (!event.body) {
    forms.delete(event.person);
  } else if (open?.node && open.event.ref === event.ref) {
    open.event = event;
    showErrors(open.node, event.body.errors ?? {}); // what was typed stays
    if (event.note === "trouble") toast("slack", { type: "error", content: say("trouble") });
    return;
  } else {
    forms.set(event.person, { event, node: null });
  }
  showForm();
}

/** The open form of whoever sits here, in Slack's window. */
function showForm() {
  const box = $("w-slack");
  const open = forms.get(self("slack").id);
  const shown = box.querySelector(".modal");
  if (shown && shown === open?.node) return;
  const had = shown?.contains(document.activeElement);
  shown?.remove();
  if (!open) {
    if (had) fieldOf("slack").focus();
    return;
  }
  if (!open.node) {
    const ui = { say, press: (token, values, label) => press(open.event, token, values, label) };
    open.node = slackModal(open.event.body, ui, () => {
      forms.delete(self("slack").id); // Slack tells nobody
      showForm();
    });
    if (open.event.body.errors) showErrors(open.node, open.event.body.errors);
  }
  box.append(open.node);
  show("slack");
  (open.node.querySelector("input, textarea") ?? open.node.querySelector("button")).focus();
}

let toastTimer = 0;

function toast(name, { type, content }) {
  const node = inside(name, ".toast");
  node.textContent = content;
  node.className = `toast ${["success", "warning", "error"].includes(type) ? type : "info"}`;
  node.hidden = !content;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { node.hidden = true; }, TOAST_MS);
}

/** Ask for news for ever; an answer with another run means that the service was started anew. */
async function follow() {
  for (;;) {
    try {
      const news = await ask(`/sandbox/events?after=${last}&run=${run}`);
      if (news.run !== run) {
        world = await ask("/sandbox/state");
        run = news.run;
        seen = news.events;
        drawReal();
        translate();
      } else {
        for (const event of news.events) {
          seen.push(event);
          draw(event, true);
        }
      }
      last = news.last;
      notice(news.events);
      if (hasSource !== news.source) {
        hasSource = news.source;
        drawSampleNote();
      }
      online(true);
      await pause(PAUSE_MS);
    } catch {
      online(false);
      await pause(RETRY_MS);
    }
  }
}

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

function online(yes) {
  const live = $("live");
  const words = say(yes ? "live" : "offline");
  if (live.textContent !== words) live.textContent = words;
  live.classList.toggle("off", !yes);
}

function drawReal() {
  for (const name of WINDOWS) {
    const real = !world.replaced.includes(BEHIND[name] ?? name);
    const box = $(`w-${name}`);
    box.querySelector(".real").hidden = !real;
    box.classList.toggle("is-real", real);
  }
  for (const name of CHATS) {
    for (const node of $(`w-${name}`).querySelectorAll(".composer :is(textarea, button), .places input")) {
      node.disabled = !world.replaced.includes(name);
    }
  }
}

// -- typing

function fit(field) {
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight, 120)}px`;
}

function put(words, place, name = active) {
  if (place) go(name, place);
  else if (chats[name].place === "home") go(name, "direct");
  show(name);
  const field = fieldOf(name);
  field.value = words;
  fit(field);
  field.focus();
  field.setSelectionRange(words.length, words.length);
}

async function speak(name) {
  const field = fieldOf(name);
  const words = field.value.trim();
  if (!words) return;
  const chat = chats[name];
  chat.said.push(words);
  chat.at = chat.said.length;
  field.value = "";
  fit(field);
  const taken = await passOn("/sandbox/say", { who, platform: name, where: chat.place, text: words }, name);
  if (!taken && !field.value) {
    field.value = words;
    fit(field);
  }
}

/** Something that a person does there; whether the platform took it. What went wrong is written into the window. */
async function passOn(path, body, name) {
  const log = logOf(name);
  try {
    const answer = await ask(path, body);
    if (answer.delivered && answer.status >= 400) complain(log, say("answered", { status: answer.status }));
    return true;
  } catch (error) {
    complain(log, say("not_delivered", { reason: error.message }));
    return false;
  }
}

async function press(event, token, values, label) {
  const { platform, seq } = event;
  const body = { who, platform, seq, token, ...(values ? { values } : {}) };
  if (await passOn("/sandbox/press", body, platform)) notice([{ kind: "typed", body: label }]);
}

function complain(log, words) {
  log.append(system(words));
  bottom(log);
}

function listen(name, field) {
  const chat = chats[name];
  inside(name, ".composer").addEventListener("submit", (event) => {
    event.preventDefault();
    speak(name);
  });
  field.addEventListener("input", () => fit(field));
  field.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229) return; // an input method is still choosing characters
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      speak(name);
    } else if (event.key === "ArrowUp" && chat.at > 0 && field.selectionStart === field.selectionEnd && !field.value.slice(0, field.selectionStart).includes("\n")) {
      event.preventDefault();
      chat.at -= 1;
      put(chat.said[chat.at], "", name);
    } else if (event.key === "ArrowDown" && chat.at < chat.said.length && !field.value.slice(field.selectionEnd).includes("\n")) {
      event.preventDefault();
      chat.at += 1;
      put(chat.said[chat.at] ?? "", "", name);
    }
  });
}

/** A webhook as it is given to the bot, with its secret where the robot has one. */
function webhook(name) {
  const { url, secret } = world.groups[name];
  return secret ? say("with_secret", { url, secret }) : url;
}

async function copy(name) {
  const words = webhook(name);
  const label = inside(name, ".copy span");
  try {
    await navigator.clipboard.writeText(words);
    label.textContent = say(world.groups[name].secret ? "copied_secret" : "copied");
    setTimeout(() => { label.textContent = say("copy"); }, 1600);
  } catch {
    const field = fieldOf(name);
    put(`${field.value}${field.value ? " " : ""}${words}`, "", name); // no right to the clipboard: into the line instead
  }
}

$("language").addEventListener("click", () => {
  language = language === "zh" ? "en" : "zh";
  localStorage.setItem("language", language);
  online(!$("live").classList.contains("off"));
  translate();
});

// -- sample alerts

function drawSampleNote(words = "") {
  const note = $("sample-note");
  if (words) note.replaceChildren(words);
  else if (hasSource) note.replaceChildren();
  else {
    const add = chip(say("source_command"), "direct");
    const rotate = chip(say("rotate_command"), "direct");
    note.replaceChildren(say("no_source"), " ", add, " ", say("has_source"), " ", rotate);
  }
}

async function raise(sample) {
  if (!hasSource) {
    drawSampleNote();
    $("sample-note").querySelector(".chip").focus();
    return;
  }
  try {
    const answer = await ask("/sandbox/alert", { sample });
    if (answer.status === 200) sampled = true;
    drawSampleNote(say(answer.status === 200 ? "sent_sample" : "sample_refused", answer));
    notice([]);
  } catch (error) {
    drawSampleNote(error.message);
  }
}

for (const one of document.querySelectorAll("[data-sample]")) {
  one.addEventListener("click", () => raise(one.dataset.sample));
}

// -- the tour

const DONE_BY = [
  /^(me|我)\s*\+?\d/i,
  /^\d{6}$/,
  /^(group create|create group|创建组|组创建)/i,
  /^(contact add|add contact|添加联系人|联系人添加)(?!.*https:).*@/i,
  /^(contact add|add contact|添加联系人|联系人添加).*https:/i,
  /^(source (add|rotate)|告警源(添加|轮换)|添加告警源)/i,
  null,
  /^(ack|认领)/i,
];

/** A command that a click puts into the line. */
function chip(words, place) {
  const node = el("button", "chip", el("code", "", words));
  node.type = "button";
  node.title = `${say("fill")}: ${words}`;
  node.addEventListener("click", () => put(words, place));
  return node;
}

const NUMBER = /#(\d{1,9})(?![0-9a-z])/i; // of an alert; not a colour such as #8D8D8E

function newestNumber() {
  for (let at = seen.length - 1; at >= 0; at -= 1) {
    const event = seen[at];
    if (!["card", "say", "update"].includes(event.kind)) continue;
    const found = NUMBER.exec(JSON.stringify(event.body).replaceAll("\u200b", ""));
    if (found) return found[1];
  }
  return "1";
}

function command(template) {
  const other = world.people.find((one) => !one.admin);
  const admin = world.people.find((one) => one.admin);
  return fill(template, {
    me: admin.name,
    other: other.name,
    mailbox: other.mailbox,
    room: world.groups[active].title,
    webhook: webhook(active),
    number: newestNumber(),
  });
}

function drawTour() {
  const steps = tables[language].steps;
  $("steps").replaceChildren(...steps.map(([title], at) => {
    const node = el("button", "", el("span", "n", done.has(at) ? "✓" : String(at + 1)), el("span", "t", title));
    node.type = "button";
    node.classList.toggle("done", done.has(at));
    if (at === step) node.setAttribute("aria-current", "step");
    node.setAttribute("aria-label", `${at + 1}. ${title}${done.has(at) ? " ✓" : ""}`);
    node.addEventListener("click", () => {
      step = at;
      drawTour();
    });
    return el("li", "", node);
  }));
  const [, words, template] = steps[step];
  let action = null;
  if (template) {
    action = chip(command(template), "direct");
  } else if (step === 6) {
    action = el("button", "chip", say("send_critical"));
    action.type = "button";
    action.addEventListener("click", () => raise("critical"));
  }
  const count = el("span", "unseen", say("step", { n: step + 1, of: steps.length }), " ");
  const told = fill(words, { platform: say(active) });
  $("step").replaceChildren(el("p", "", count, told), ...(action ? [action] : []));
}

/** What was typed, without the mention or the slash command before it. */
const bare = (words) => String(words).replace(/^(@Callboard|\/callboard) /, "").trim();

/** Tick off what was done, and go on from the current step. */
function notice(events) {
  const before = done.size;
  for (const event of events) {
    if (event.kind !== "typed") continue;
    DONE_BY.forEach((pattern, at) => {
      if (pattern?.test(bare(event.body))) done.add(at);
    });
  }
  const cards = events.some((event) => event.kind === "card" && NUMBER.test(JSON.stringify(event.body)));
  if (sampled || cards) done.add(6);
  if (done.size === before && !(cards && step === 7)) return; // the number to acknowledge is that of the newest card
  while (done.has(step) && step < DONE_BY.length - 1) step += 1;
  drawTour();
}

// -- begin

async function begin() {
  build();
  for (;;) {
    try {
      world = await ask("/sandbox/state");
      break;
    } catch {
      await pause(RETRY_MS);
    }
  }
  who = world.people[0].id;
  translate();
  drawReal();
  follow();
}

begin();
