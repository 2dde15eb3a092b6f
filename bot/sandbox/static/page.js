/** Windows, live updates, typing and the guided tour. How messages look is in cards.js, what is said in words.js. */

import { el, renderers } from "./cards.js";
import { fill, preferred, tables } from "./words.js";

const WINDOWS = ["dingtalk", "wecom", "lark", "slack", "phone", "mail"];
const PLACES = ["group", "direct"];
const BEHIND = { phone: "alibaba" }; // window -> platform that may be a real one, where the names differ
const PAUSE_MS = 250; // between polls, so that a service that stops finds an idle connection
const RETRY_MS = 1500;
const KEPT = 400; // messages in a window

const $ = (id) => document.getElementById(id);

let language = preferred();
let world = null; // what /sandbox/state said
let run = "";
let last = 0;
let seen = []; // every event of this run, to draw them anew in another language
let who = ""; // id of the person the visitor is
let where = "direct";
let step = 0;
let hasSource = false;
let sampled = false;
const done = new Set();
const said = []; // for arrow up
let saidAt = 0;

const say = (name, values) => fill(tables[language][name], values);
const person = (id) => world.people.find((one) => one.id === id);
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
  for (const one of document.querySelectorAll("[data-copy]")) {
    one.title = say("copy_label", { name: say(one.dataset.copy) });
  }
  for (const name of WINDOWS.slice(1)) $(`log-${name}`).setAttribute("aria-label", say(name));
  for (const platform of ["wecom", "lark", "slack"]) $(`title-${platform}`).textContent = world.groups[platform].title;
  $("log-group").setAttribute("aria-label", `${say("dingtalk")} ${world.groups.dingtalk.title}`);
  $("log-direct").setAttribute("aria-label", `${say("dingtalk")} ${say("direct")}`);
  drawSwitches();
  drawTabs();
  drawPlace();
  drawTour();
  drawSampleNote();
  redraw();
}

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
      drawPlace();
      drawTour();
    });
  }
  const places = $("places");
  places.querySelectorAll("label").forEach((label) => label.remove());
  for (const place of PLACES) {
    const label = place === "group" ? world.groups.dingtalk.title : say("direct");
    choice(places, "where", place, label, place === where, (value) => go(value));
  }
}

// -- windows

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
  if (name === "dingtalk") bottom(logOf(where));
  else bottom($(`log-${name}`));
}

function go(place) {
  where = place;
  for (const input of $("places").querySelectorAll("input")) input.checked = input.value === place;
  drawPlace();
}

const logOf = (place) => $(place === "group" ? "log-group" : "log-direct");

function drawPlace() {
  for (const place of PLACES) logOf(place).hidden = place !== where;
  $("mention").hidden = where !== "group";
  $("text").placeholder = say(where === "group" ? "hint_group" : "hint_direct");
  const label = $("places").querySelector(`[data-value="${where}"]`);
  if (label) unmark(label);
  bottom(logOf(where));
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

function logFor(event) {
  if (event.platform === "sms") return "phone";
  if (event.platform === "mail") return "mail";
  if (event.platform !== "dingtalk") return event.platform;
  return world.people.some((one) => one.chat === event.place) ? "direct" : "group";
}

/** Add one event to its window. `fresh`: it has just happened. */
function draw(event, fresh) {
  const name = logFor(event);
  const log = $(`log-${name}`);
  if (!log) return;
  if (name === "direct" && event.place !== person(who).chat) return;
  const node = drawn(event, log);
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
  const box = PLACES.includes(name) ? "dingtalk" : name;
  if (PLACES.includes(name) && name !== where) mark($("places").querySelector(`[data-value="${name}"]`));
  const tab = [...$("tabs").children].find((one) => one.dataset.window === box);
  if (tab && !$(`w-${box}`).classList.contains("current")) mark(tab);
}

function drawn(event, log) {
  if (event.kind === "refused") return refusal(event, log);
  if (event.kind === "typed") return typed(event);
  if (event.kind === "sms") return textMessage(event);
  if (event.kind === "mail") return mail(event);
  if (event.kind === "say" && event.note === "update") {
    const old = log.querySelector(`[data-track="${CSS.escape(String(event.body.card))}"]`);
    old?.remove();
  }
  const body = renderers[event.platform]?.(event.body, say);
  if (!body) return null;
  const badge = event.kind === "say" ? null : say(event.platform === "slack" ? "app" : "robot");
  const node = message("C", "robot", say("bot"), event.at, body, badge);
  if (event.body.card && typeof event.body.card === "string") node.dataset.track = event.body.card;
  return node;
}

function message(letter, names, name, at, body, badge) {
  return el("article", `message ${names}`,
    el("span", "avatar", letter),
    el("div", "said",
      el("div", "by", el("b", "", name), badge ? el("span", "app", badge) : null, el("time", "", clock(at))),
      body));
}

function typed(event) {
  const one = person(event.person);
  const mine = event.person === who;
  const mention = event.place === world.group ? el("span", "mention", "@Callboard ") : null;
  const name = one ? shownName(one) : event.person;
  return message(one ? one.name.slice(0, 1) : "?", mine ? "mine" : "other", name, event.at,
    el("div", "bubble plain", mention, String(event.body)));
}

const owner = (field, value) => {
  const one = world.people.find((known) => known[field] === value);
  return one ? `${shownName(one)} · ${value}` : value;
};

function textMessage(event) {
  const { text, sign, params } = event.body;
  const words = text || `【${sign}】${Object.values(params ?? {}).join(" ")}`;
  return el("article", "message sms",
    el("div", "by", el("b", "", say("to", { who: owner("phone", event.place) })), el("time", "", clock(event.at))),
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
  for (const id of ["group", "direct", ...WINDOWS.slice(1)]) {
    const hint = { group: "empty_group", direct: "empty_direct", phone: "empty_phone", mail: "empty_mail" }[id];
    $(`log-${id}`).replaceChildren(el("p", "empty-log", say(hint ?? "empty_cards")));
  }
  for (const event of seen) draw(event, false);
  for (const id of ["group", "direct", ...WINDOWS.slice(1, -1)]) bottom($(`log-${id}`));
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
  const real = !world.replaced.includes("dingtalk");
  $("text").disabled = real;
  $("composer").querySelector("button").disabled = real;
}

// -- typing

const field = $("text");

function fit() {
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight, 120)}px`;
}

function put(words, place) {
  if (place) go(place);
  show("dingtalk");
  field.value = words;
  fit();
  field.focus();
  field.setSelectionRange(words.length, words.length);
}

async function speak() {
  const words = field.value.trim();
  if (!words) return;
  const place = where;
  said.push(words);
  saidAt = said.length;
  field.value = "";
  fit();
  try {
    const answer = await ask("/sandbox/say", { who, where: place, text: words });
    if (answer.delivered && answer.status >= 400) complain(place, say("answered", { status: answer.status }));
  } catch (error) {
    complain(place, say("not_delivered", { reason: error.message }));
    if (!field.value) put(words);
  }
}

function complain(place, words) {
  logOf(place).append(system(words));
  bottom(logOf(place));
}

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  speak();
});
field.addEventListener("input", fit);
field.addEventListener("keydown", (event) => {
  if (event.isComposing || event.keyCode === 229) return; // an input method is still choosing characters
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    speak();
  } else if (event.key === "ArrowUp" && saidAt > 0 && field.selectionStart === field.selectionEnd && !field.value.slice(0, field.selectionStart).includes("\n")) {
    event.preventDefault();
    saidAt -= 1;
    put(said[saidAt]);
  } else if (event.key === "ArrowDown" && saidAt < said.length && !field.value.slice(field.selectionEnd).includes("\n")) {
    event.preventDefault();
    saidAt += 1;
    put(said[saidAt] ?? "");
  }
});

for (const one of document.querySelectorAll("[data-copy]")) {
  one.addEventListener("click", async () => {
    const group = world.groups[one.dataset.copy];
    const words = group.secret ? `${group.url} secret ${group.secret}` : group.url;
    try {
      await navigator.clipboard.writeText(words);
      one.textContent = say(group.secret ? "copied_secret" : "copied");
      setTimeout(() => { one.textContent = say("copy"); }, 1600);
    } catch {
      put(`${field.value}${field.value ? " " : ""}${words}`); // no right to the clipboard: into the line instead
    }
  });
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
    if (event.kind !== "card" && event.kind !== "say") continue;
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
    webhook: world.groups.dingtalk.url,
    secret: world.groups.dingtalk.secret,
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
  $("step").replaceChildren(el("p", "", count, words), ...(action ? [action] : []));
}

/** Tick off what was done, and go on from the current step. */
function notice(events) {
  const before = done.size;
  for (const event of events) {
    if (event.kind !== "typed") continue;
    DONE_BY.forEach((pattern, at) => {
      if (pattern?.test(String(event.body).trim())) done.add(at);
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
