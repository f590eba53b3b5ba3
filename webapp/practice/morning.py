"""How the desk looks in the morning: the tickets and devices that Reset brings back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from webapp.practice.desk import Desk, Device, Note, Ticket


def fresh_desk() -> Desk:
    now = datetime.now(UTC)

    def ago(hours: float) -> str:
        return (now - timedelta(hours=hours)).isoformat(timespec="seconds")

    devices = [
        Device("HD-LT-014", "Harbour Dental", "laptop", "Dell Latitude 5450", "Windows 11 24H2",
               "Maria Costa", True, ago(0.1)),
        Device("HD-PR-002", "Harbour Dental", "printer", "Brother HL-L6410DN", "Firmware 1.18",
               "Front desk", False, ago(19)),
        Device("NL-SV-001", "Northgate Logistics", "server", "HPE ProLiant DL325", "Windows Server 2022",
               "Dispatch database", True, ago(0.02)),
        Device("NL-FW-001", "Northgate Logistics", "firewall", "FortiGate 60F", "FortiOS 7.4.8",
               "Warehouse", True, ago(0.02)),
        Device("BS-LT-007", "Bramley Solicitors", "laptop", "Lenovo ThinkPad T14", "Windows 11 24H2",
               "Helen Bramley", True, ago(0.4)),
        Device("SA-AP-011", "St Anne's School", "access_point", "UniFi U6 Pro", "Firmware 6.7.10",
               "Library", False, ago(3.5)),
        Device("SA-SV-002", "St Anne's School", "server", "Dell PowerEdge T350", "Ubuntu 24.04 LTS",
               "File server", True, ago(0.02)),
        Device("KE-LT-021", "Kestrel Engineering", "laptop", "MacBook Pro 14", "macOS 15.6",
               "Jonas Weber", True, ago(1.2)),
    ]  # fmt: skip
    tickets = [
        Ticket("T-1041", "Harbour Dental", "Front desk printer offline since yesterday",
               "Appointment cards can't be printed. The display says 'Check network'.",
               "in_progress", "high", ago(18.5), "Maria Costa", "Tom Blake", "HD-PR-002",
               [Note(ago(17), "Switch port is up, the printer answers no ping.", "internal")]),
        Ticket("T-1042", "Northgate Logistics", "Dispatch database slow every morning",
               "Between 07:00 and 08:30 a query takes half a minute. Backups may still be running.",
               "open", "urgent", ago(5), "Omar Haddad", None, "NL-SV-001"),
        Ticket("T-1043", "Bramley Solicitors", "New starter on Monday: account, laptop, phone",
               "Chloe Evans joins as a paralegal. Same groups as Ben Shaw. Needs the case system.",
               "waiting", "normal", ago(50), "Helen Bramley", "Priya Nair", None,
               [Note(ago(46), "Asked Helen for the signed starter form.", "client")]),
        Ticket("T-1044", "St Anne's School", "No Wi-Fi in the library",
               "Thirty tablets lost the network in the middle of a lesson. The access point is dark.",
               "open", "high", ago(3.4), "Ruth Okafor", None, "SA-AP-011"),
        Ticket("T-1045", "Kestrel Engineering", "VPN asks for the code twice",
               "Since the update the sign-in prompt comes back once more before it connects.",
               "open", "low", ago(27), "Jonas Weber", "Ana Ruiz", "KE-LT-021"),
        Ticket("T-1046", "Harbour Dental", "Suspicious e-mail: 'invoice overdue'",
               "Maria opened the attachment, then called. The laptop is off the network since then.",
               "in_progress", "urgent", ago(1.1), "Maria Costa", "Ana Ruiz", "HD-LT-014",
               [Note(ago(0.8), "Full scan running. No sign-ins from abroad so far.", "internal")]),
        Ticket("T-1047", "Northgate Logistics", "Firewall certificate expires in nine days",
               "Raised by monitoring. The renewal needs a change window.",
               "waiting", "normal", ago(30), "Monitoring", "Tom Blake", "NL-FW-001"),
        Ticket("T-1048", "Bramley Solicitors", "Restore a deleted folder",
               "The folder 'Conveyancing 2024' is gone from the shared drive.",
               "resolved", "high", ago(75), "Ben Shaw", "Priya Nair", None,
               [Note(ago(73), "Restored from Tuesday's backup, 1,204 files.", "client")]),
    ]  # fmt: skip
    return Desk(tickets, devices)
