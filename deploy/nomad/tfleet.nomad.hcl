# Proxies and workers as a Nomad job (Nomad 1.5 or later):
#
#   nomad job run -var worker_image=registry.internal/tfleet-worker:1 \
#                 -var proxy_image=registry.internal/tfleet-proxy:1 deploy/nomad/tfleet.nomad.hcl
#
# Each machine has a Consul agent that containers reach at the machine's address (client_addr in Consul's
# configuration). Proxies and workers register themselves there, as everywhere; by that they find each other. What
# Nomad registers beside it has names of its own and tells Nomad how a deployment goes, and nobody else anything.

variable "worker_image" {
  type        = string
  description = "Nomad pulls an image whose tag is `latest` each time; this is one that was built on the machine."
  default     = "tfleet-worker:local"
}

variable "proxy_image" {
  type    = string
  default = "tfleet-proxy:local"
}

variable "workers" {
  type    = number
  default = 2
}

variable "proxies" {
  type        = number
  description = "At most one on each machine: all have the same port."
  default     = 2
}

variable "port" {
  type    = number
  default = 12480
}

variable "worker_cores" {
  type        = number
  description = "CPUs of its own for each worker, which computes with as many threads."
  default     = 1
}

variable "worker_memory_mb" {
  type    = number
  default = 2048
}

variable "options" {
  type        = map(string)
  description = "tfleet's options by their variables, for proxies and workers: {TFLEET_MODE = \"p2p\"}."
  default     = {}
}

variable "model" {
  type        = string
  description = "The workers' model: /models/flowers/1. Another one leaves the proxies as they are."
  default     = ""
}

variable "canaries" {
  type        = number
  description = "New workers that an update starts beside the old ones. As many as `workers`: a whole second set."
  default     = 1
}

variable "auto_promote" {
  type        = bool
  description = "Whether the other workers follow when the canaries are healthy. false: `nomad deployment promote`."
  default     = true
}

variable "models" {
  type        = string
  description = "A host volume of the machines' Nomad clients that workers see as /models."
  default     = ""
}

variable "tickets" {
  type        = bool
  # Before: nomad var put nomad/jobs/tfleet ticket_key=$(openssl rand -hex 32)
  description = "Whether workers require tickets. They need the Nomad variable nomad/jobs/tfleet with ticket_key."
  default     = false
}

locals {
  key_file = "${NOMAD_SECRETS_DIR}/ticket.key"
  key      = "{{ with nomadVar \"nomad/jobs/tfleet\" }}{{ .ticket_key }}{{ end }}\n"

  environment = merge({
    TFLEET_REGISTRY  = "consul://${attr.unique.network.ip-address}:8500"
    TFLEET_ADVERTISE = "${NOMAD_IP_http}:${NOMAD_HOST_PORT_http}"
  }, var.tickets ? { TFLEET_TICKET_KEY_FILE = local.key_file } : {}, var.options)
}

job "tfleet" {
  datacenters = ["*"]
  type        = "service"

  # A machine at a time. What is not healthy in time is taken back.
  update {
    max_parallel      = 1
    health_check      = "checks"
    min_healthy_time  = "10s"
    healthy_deadline  = "5m"
    progress_deadline = "10m"
    auto_revert       = true
  }

  group "worker" {
    count = var.workers

    # Nomad's registration ends before the task does.
    shutdown_delay = "2s"

    # Some of the new workers first, beside the old ones.
    update {
      canary       = var.canaries
      auto_promote = var.auto_promote
    }

    spread {
      attribute = "${node.unique.id}"
    }

    network {
      port "http" {
        to = 8000
      }
    }

    service {
      name = "nomad-tfleet-worker"
      port = "http"

      check {
        name     = "ready"
        type     = "http"
        path     = "/readyz"
        interval = "5s"
        timeout  = "4s"
      }

      # One that hangs is started again; one that is not ready has its reasons.
      check {
        name     = "alive"
        type     = "http"
        path     = "/healthz"
        interval = "5s"
        timeout  = "4s"

        check_restart {
          limit = 3
          grace = "120s"
        }
      }
    }

    dynamic "volume" {
      for_each = var.models == "" ? [] : [var.models]
      labels   = ["models"]

      content {
        type      = "host"
        source    = volume.value
        read_only = true
      }
    }

    task "worker" {
      driver = "docker"

      # More than --drain-grace and --drain-timeout together, and what clients of Nomad allow by default.
      kill_timeout = "30s"

      config {
        image           = var.worker_image
        ports           = ["http"]
        init            = true
        readonly_rootfs = true
        cap_drop        = ["all"]
        security_opt    = ["no-new-privileges:true"]

        mount {
          type   = "tmpfs"
          target = "/tmp"
        }

        healthchecks {
          disable = true # those above are asked instead
        }
      }

      dynamic "volume_mount" {
        for_each = var.models == "" ? [] : [var.models]

        content {
          volume      = "models"
          destination = "/models"
          read_only   = true
        }
      }

      dynamic "template" {
        for_each = var.tickets ? [local.key] : []

        content {
          data        = template.value
          destination = "secrets/ticket.key"
          uid         = 10001
          gid         = 10001
          perms       = "0400"
          change_mode = "noop" # it is read anew by itself
        }
      }

      env = merge(local.environment, var.model == "" ? {} : { TFLEET_MODEL = var.model })

      resources {
        cores  = var.worker_cores
        memory = var.worker_memory_mb
      }
    }
  }

  group "proxy" {
    count = var.proxies

    # For load balancers that follow Nomad's registration: it has ended before the proxy refuses anybody.
    shutdown_delay = "2s"

    constraint {
      operator = "distinct_hosts"
      value    = "true"
    }

    network {
      port "http" {
        static = var.port
        to     = 12480
      }
    }

    service {
      name = "nomad-tfleet-proxy"
      port = "http"

      check {
        name     = "ready"
        type     = "http"
        path     = "/readyz"
        interval = "5s"
        timeout  = "4s"
      }

      check {
        name     = "alive"
        type     = "http"
        path     = "/healthz"
        interval = "5s"
        timeout  = "4s"

        check_restart {
          limit = 3
          grace = "30s"
        }
      }
    }

    task "proxy" {
      driver       = "docker"
      kill_timeout = "30s"

      config {
        image           = var.proxy_image
        ports           = ["http"]
        init            = true
        readonly_rootfs = true
        cap_drop        = ["all"]
        security_opt    = ["no-new-privileges:true"]

        mount {
          type   = "tmpfs"
          target = "/tmp"
        }

        healthchecks {
          disable = true
        }
      }

      dynamic "template" {
        for_each = var.tickets ? [local.key] : []

        content {
          data        = template.value
          destination = "secrets/ticket.key"
          uid         = 10001
          gid         = 10001
          perms       = "0400"
          change_mode = "noop"
        }
      }

      # Less than a proxy's own 30 s, for kill_timeout to be more.
      env = merge({ TFLEET_DRAIN_TIMEOUT = "25" }, local.environment)

      resources {
        cpu    = 1000
        memory = 512
      }
    }
  }
}
