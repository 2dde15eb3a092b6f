"""Commands to copy, in both languages: what the examples in sentences and below them are made of.

All stand here, so that one test can type every one of them to the parser. Functions put in the names of the case at hand.
"""

from __future__ import annotations

import re

from handlers.texts import Both

HELP = Both("help", "帮助")
HELP_CONTACTS = Both("help contacts", "帮助 联系人")

ADD_CONTACT = Both("contact add Zhang Wei 13800138000", "添加联系人 张伟 13800138000")
ADD_CONTACT_TO = Both(
    "contact add Zhang Wei 13800138000 zhang.wei@example.com to dba",
    "添加联系人 张伟 13800138000 zhang.wei@example.com 加入 数据库",
)
SHOW_CONTACT = Both("contact show Zhang Wei", "查看联系人 张伟")
EDIT_CONTACT = Both("contact edit Zhang Wei phone 13800138000", "修改联系人 张伟 电话 13800138000")
REMOVE_CONTACT = Both("contact remove Zhang Wei", "删除联系人 张伟")
EXPORT_CONTACT = Both("contact export vcard", "导出联系人 vcard")
IMPORT_CONTACT = Both(
    "contact import name,phone,email\nZhang Wei,13800138000,zhang.wei@example.com",
    "导入联系人 姓名,电话,邮箱\n张伟,13800138000,zhang.wei@example.com",
)
ME = Both("me 13800138000", "我 13800138000")
ME_EMAIL = Both("me zhang.wei@example.com", "我 zhang.wei@example.com")

VERIFY = Both("verify Zhang Wei", "验证 张伟")
ENTER_CODE = Both("code", "验证码")
OPEN_ADD_CONTACT = Both("contact add", "添加联系人")
CODE = Both("code 123456", "验证码 123456")

CREATE_GROUP = Both("group create dba", "创建组 数据库")
CREATE_GROUP_OF = Both("group create dba members Zhang Wei", "创建组 数据库 成员 张伟")
CREATE_GROUP_FULL = Both(
    "group create dba note night shift members Zhang Wei, Li Lei", "创建组 数据库 备注 夜班 成员 张伟, 李雷"
)
SHOW_GROUP = Both("group show dba", "查看组 数据库")
ADD_TO_GROUP = Both("group add dba Zhang Wei, Li Lei", "组添加 数据库 张伟, 李雷")
TAKE_FROM_GROUP = Both("group remove dba Zhang Wei", "组移除 数据库 张伟")
RENAME_GROUP = Both("group rename dba to database team", "组改名 数据库 到 数据库团队")
NOTE_GROUP = Both("group note dba night shift, first level", "组备注 数据库 夜班一线")
EDIT_GROUP = Both("group edit dba", "修改组 数据库")
OPEN_CREATE_GROUP = Both("group create", "创建组")
DELETE_GROUP = Both("group delete dba", "删除组 数据库")

ADD_SOURCE = Both("source add prometheus alertmanager to dba", "告警源添加 prometheus alertmanager 到 数据库")
MOVE_SOURCE = Both("source move prometheus to dba", "告警源改组 prometheus 到 数据库")
REMOVE_SOURCE = Both("source remove prometheus", "告警源删除 prometheus")
ROTATE_SOURCE = Both("source rotate prometheus", "告警源轮换 prometheus")
SHOW_SOURCE = Both("source show prometheus", "查看告警源 prometheus")
MAP_SOURCE = Both(
    "source map nagios title=$.alert.name severity=$.level severity.P1=critical",
    "告警源映射 nagios 标题=$.alert.name 级别=$.level 级别.P1=critical",
)

SET_TEMPLATE = Both(
    "template set prometheus title {{ labels.instance }}: {{ title }}",
    "设置模板 prometheus 标题 {{ labels.instance }}：{{ title }}",
)
SHOW_TEMPLATE = Both("template show prometheus", "查看模板 prometheus")
PREVIEW_TEMPLATE = Both("template preview prometheus", "预览模板 prometheus")
CLEAR_TEMPLATE = Both("template clear prometheus title", "清除模板 prometheus 标题")

ALERT = Both("alert 42", "告警 42")
ACK = Both("ack 42", "认领 42")
UNACK = Both("unack 42", "取消认领 42")
RESOLVE = Both("resolve 42", "解决 42")
NOTE = Both("note 42 disk was full, cleaned up", "备注 42 磁盘已满，已清理")
SILENCE = Both(
    "silence source=prometheus severity=warning for 2h because maintenance",
    "静默 source=prometheus severity=warning 2小时 因为 维护",
)
SILENCE_ALERT = Both("silence #42 for 2h", "静默 #42 2小时")
SILENCES = Both("silence list", "静默列表")
END_SILENCE = Both("silence end 3", "结束静默 3")
WHO = Both("who critical source=prometheus host=db-1", "谁收到 critical source=prometheus host=db-1")
TEST = Both("test dba", "测试 数据库")
RETRY = Both("retry 42", "重试 42")
DELIVERIES = Both("deliveries failed", "投递 失败")

ADD_ADMIN = Both("admin add dingtalk:dingcorp01/0147123", "管理员添加 dingtalk:dingcorp01/0147123")
REMOVE_ADMIN = Both("admin remove dingtalk:dingcorp01/0147123", "管理员移除 dingtalk:dingcorp01/0147123")
YES = Both("yes", "是")
NO = Both("no", "否")
MORE = Both("more", "更多")
ALERTS = Both("alerts", "告警列表")
LINK = Both("link", "关联")
LANGUAGE = Both("language zh", "语言 中文")
STATUS = Both("status", "状态")
QUOTA = Both("quota", "配额")
SYNC = Both("sync cloudmonitor", "同步云监控")
SYNC_DAS = Both("sync das rm-uf6example000001", "同步DAS rm-uf6example000001")

_ROBOT = "https://oapi.dingtalk.com/robot/send?access_token=abc123"
ADD_ROBOT = Both(
    f"contact add duty {_ROBOT} secret SECabc123 to dba", f"添加联系人 值班 {_ROBOT} 密钥 SECabc123 加入 数据库"
)
_FIELDS = {
    "name": ("姓名", "Zhang Wei", "张伟"),
    "phone": ("电话", "13800138000", "13800138000"),
    "email": ("邮箱", "zhang.wei@example.com", "zhang.wei@example.com"),
    "webhook": ("机器人", _ROBOT, _ROBOT),
    "secret": ("密钥", "SECabc123", "SECabc123"),
    "language": ("语言", "en", "英文"),
    "timezone": ("时区", "Asia/Shanghai", "Asia/Shanghai"),
    "mention": ("提醒", "on", "开"),
}
"""Field of a contact -> its Chinese word, a value for an English and for a Chinese example."""

_OTHERS = {
    "phone": "13900139000",
    "email": "zhangwei@example.com",
    "webhook": "https://oapi.dingtalk.com/robot/send?access_token=def456",
}
"""A second address for the fields of which there may be several."""

_PLAIN = re.compile(r"[^\W\d][\w'’.\-]*(?: [\w'’.\-]+)*")
_LONG_NUMBER = re.compile(r"\d{4}")
_QUOTES = (('"', '"'), ("「", "」"), ("“", "”"))


def quoted(name: str) -> str:
    """The name as it can be typed in a command: in quotes, where without them it might be read as something else."""
    if _PLAIN.fullmatch(name) and not _LONG_NUMBER.search(name):
        return name
    for opener, closer in _QUOTES:
        if opener not in name and closer not in name:
            return f"{opener}{name}{closer}"
    return name


def show_contact(name: str) -> Both:
    return Both(f"contact show {quoted(name)}", f"查看联系人 {quoted(name)}")


def edit_contact(name: str, field: str = "phone") -> Both:
    chinese, en, zh = _FIELDS[field]
    return Both(f"contact edit {quoted(name)} {field} {en}", f"修改联系人 {quoted(name)} {chinese} {zh}")


def give_contact(name: str, value: str) -> Both:
    """The address itself is typed, its shape says what it is."""
    return Both(f"contact edit {quoted(name)} {value}", f"修改联系人 {quoted(name)} {value}")


def replace_address(name: str, field: str) -> Both:
    """The old address, then the new one."""
    chinese, old, _zh = _FIELDS[field]
    new = _OTHERS[field]
    return Both(f"contact edit {quoted(name)} {field} {old} {new}", f"修改联系人 {quoted(name)} {chinese} {old} {new}")


def set_secret(name: str) -> Both:
    return Both(
        f"contact edit {quoted(name)} webhook {_ROBOT} secret SECabc123",
        f"修改联系人 {quoted(name)} 机器人 {_ROBOT} 密钥 SECabc123",
    )


def link_contact(name: str, person: str) -> Both:
    return Both(f"contact edit {quoted(name)} {person}", f"修改联系人 {quoted(name)} {person}")


def me_named(name: str) -> Both:
    return Both(f"me name {quoted(name)} 13800138000", f"我 姓名 {quoted(name)} 13800138000")


def me_field(field: str) -> Both:
    chinese, en, zh = _FIELDS[field]
    return Both(f"me {field} {en}", f"我 {chinese} {zh}")


def verify(name: str) -> Both:
    return Both(f"verify {quoted(name)}", f"验证 {quoted(name)}")


def show_group(name: str) -> Both:
    return Both(f"group show {quoted(name)}", f"查看组 {quoted(name)}")


def add_members(group: str) -> Both:
    return Both(f"group add {quoted(group)} Zhang Wei, Li Lei", f"组添加 {quoted(group)} 张伟, 李雷")


def note_group(name: str) -> Both:
    return Both(f"group note {quoted(name)} night shift", f"组备注 {quoted(name)} 夜班")


def empty_note(name: str) -> Both:
    return Both(f"group note {quoted(name)} none", f"组备注 {quoted(name)} 无")


def open_edit_group(name: str) -> Both:
    """Opens the form of the group."""
    return Both(f"group edit {quoted(name)}", f"修改组 {quoted(name)}")


def open_edit_contact(name: str) -> Both:
    """Opens the form of the contact."""
    return Both(f"contact edit {quoted(name)}", f"修改联系人 {quoted(name)}")


def remove_contact(name: str) -> Both:
    return Both(f"contact remove {quoted(name)}", f"删除联系人 {quoted(name)}")


def test(name: str) -> Both:
    return Both(f"test {quoted(name)}", f"测试 {quoted(name)}")


def ack(number: int) -> Both:
    return Both(f"ack #{number}", f"认领 #{number}")


def unack(number: int) -> Both:
    return Both(f"unack #{number}", f"取消认领 #{number}")


def resolve(number: int) -> Both:
    return Both(f"resolve #{number}", f"解决 #{number}")


def silence(number: int) -> Both:
    return Both(f"silence #{number} for 2h", f"静默 #{number} 2小时")


def end_silence(number: int) -> Both:
    return Both(f"silence end {number}", f"结束静默 {number}")


def unlink(person: str) -> Both:
    return Both(f"unlink {person}", f"取消关联 {person}")


def link_with(code: str) -> Both:
    return Both(f"link {code}", f"关联 {code}")


def delete_group(name: str) -> Both:
    return Both(f"group delete {quoted(name)}", f"删除组 {quoted(name)}")


def move_source(name: str, group: str = "") -> Both:
    """To a group that is known, or to any."""
    en, zh = (quoted(group),) * 2 if group else ("dba", "数据库")
    return Both(f"source move {quoted(name)} to {en}", f"告警源改组 {quoted(name)} 到 {zh}")


def rotate_source(name: str) -> Both:
    return Both(f"source rotate {quoted(name)}", f"告警源轮换 {quoted(name)}")


def set_template(name: str) -> Both:
    words = "{{ labels.instance }}: {{ title }}"
    return Both(f"template set {quoted(name)} title {words}", f"设置模板 {quoted(name)} 标题 {words}")


def preview_mapping(name: str) -> Both:
    return Both(f"source map {quoted(name)} preview", f"告警源映射 {quoted(name)} 预览")


def map_source(name: str) -> Both:
    return Both(f"source map {quoted(name)} title=$.alert.name", f"告警源映射 {quoted(name)} 标题=$.alert.name")


def note_alert(number: int) -> Both:
    return Both(f"note {number} disk was full", f"备注 {number} 磁盘已满，已清理")


def sync_das(name: str) -> Both:
    """Of the instance of that id."""
    return Both(f"sync das {name}", f"同步DAS {name}")
