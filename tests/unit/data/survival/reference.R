# Expected values for tests/unit/test_survival.py, from R's survival package and its example data.
# Rscript reference.R   (in this folder; writes the CSV files beside it)
library(survival)
options(digits = 17)
rows <- list()
put <- function(analysis, name, value) {
  rows[[length(rows) + 1]] <<- data.frame(
    analysis = analysis, name = name, value = sprintf("%.15g", as.numeric(value))
  )
}
save <- function(data, name) write.csv(data, paste0(name, ".csv"), row.names = FALSE, quote = FALSE)

lung2 <- data.frame(
  time = lung$time, event = lung$status - 1, male = as.integer(lung$sex == 1),
  age = lung$age, ecog = lung$ph.ecog
)
lung2 <- lung2[complete.cases(lung2), ]
veteran2 <- data.frame(
  time = veteran$time, event = veteran$status, trt = veteran$trt - 1, karno = veteran$karno,
  age = veteran$age, small = as.integer(veteran$celltype == "smallcell")
)
ovarian2 <- data.frame(
  time = ovarian$futime, event = ovarian$fustat, rx = ovarian$rx - 1, age = ovarian$age,
  residual = as.integer(ovarian$resid.ds == 2)
)
heart2 <- data.frame(
  id = heart$id, start = heart$start, stop = heart$stop, event = heart$event,
  transplant = as.integer(heart$transplant == "1"), age = heart$age, surgery = heart$surgery
)
save(lung2, "lung"); save(veteran2, "veteran"); save(ovarian2, "ovarian"); save(heart2, "heart")

# Kaplan-Meier with log-log bands, medians, numbers at risk
km <- function(analysis, data) {
  fit <- survfit(Surv(time, event) ~ 1, data = data, conf.type = "log-log")
  for (i in seq_along(fit$time)) {
    for (column in c("surv", "lower", "upper", "n.risk", "n.event", "n.censor")) {
      put(analysis, paste(column, fit$time[i], sep = "@"), fit[[column]][i])
    }
  }
  middle <- quantile(fit, 0.5)
  put(analysis, "median", middle$quantile)
  put(analysis, "median_low", middle$lower)
  put(analysis, "median_high", middle$upper)
}
km("km_lung", lung2)
km("km_veteran", veteran2)
km("km_ovarian", ovarian2)

# Log-rank
logrank <- function(analysis, formula, data) {
  test <- survdiff(formula, data = data)
  put(analysis, "chisq", test$chisq)
  put(analysis, "p", pchisq(test$chisq, length(test$n) - 1, lower.tail = FALSE))
}
logrank("logrank_lung", Surv(time, event) ~ male, lung2)
logrank("logrank_veteran", Surv(time, event) ~ trt, veteran2)
logrank("logrank_ovarian", Surv(time, event) ~ rx, ovarian2)
logrank("logrank_lung_ecog", Surv(time, event) ~ ecog, lung2)

# Cox, Efron ties; proportional hazards by the score test of cox.zph
cox <- function(analysis, formula, data) {
  fit <- coxph(formula, data = data, model = TRUE,
    control = coxph.control(eps = 1e-11, toler.chol = 1e-13, iter.max = 50))
  interval <- confint(fit)
  zph <- cox.zph(fit, transform = "km", terms = FALSE)$table
  for (name in names(coef(fit))) {
    put(analysis, paste0("coef@", name), coef(fit)[name])
    put(analysis, paste0("se@", name), sqrt(vcov(fit)[name, name]))
    put(analysis, paste0("low@", name), interval[name, 1])
    put(analysis, paste0("high@", name), interval[name, 2])
    put(analysis, paste0("zph@", name), zph[name, "chisq"])
  }
  put(analysis, "zph@GLOBAL", if (nrow(zph) > 1) zph["GLOBAL", "chisq"] else zph[1, "chisq"])
  put(analysis, "loglik", fit$loglik[2])
}
cox("cox_lung", Surv(time, event) ~ male + age + ecog, lung2)
cox("cox_veteran", Surv(time, event) ~ trt + karno + small, veteran2)
cox("cox_ovarian", Surv(time, event) ~ rx + age, ovarian2)
cox("cox_heart", Surv(start, stop, event) ~ transplant + age + surgery, heart2)

# Firth's penalty, independently of our code: R's partial likelihood and information at a given
# beta (no iteration), plus half the log determinant, maximised by a general optimiser.
firth <- function(analysis, formula, data, p) {
  penalised <- function(beta) {
    fit <- tryCatch(suppressWarnings(coxph(
      formula, data = data, init = beta, control = coxph.control(iter.max = 0)
    )), error = function(e) NULL)
    if (is.null(fit)) return(-1e6)  # exp() overflows far from the optimum
    fit$loglik[1] - 0.5 * as.numeric(determinant(as.matrix(vcov(fit)))$modulus)
  }
  best <- optim(
    rep(0, p), function(b) -penalised(b), method = "BFGS",
    control = list(reltol = 1e-15, maxit = 1000, ndeps = rep(1e-5, p))
  )
  if (p > 1) best <- optim(best$par, function(b) -penalised(b), method = "Nelder-Mead",
    control = list(reltol = 1e-16, maxit = 5000))
  for (i in seq_len(p)) put(analysis, paste0("coef@", i - 1), best$par[i])
  put(analysis, "penalised_loglik", -best$value)
  put(analysis, "penalised_loglik_null", penalised(rep(0, p)))
  # Profile interval of the first coefficient
  level <- -best$value - qchisq(0.95, 1) / 2
  profile <- function(first) {
    if (p == 1) return(penalised(first))
    rest <- optim(best$par[-1], function(b) -penalised(c(first, b)),
      method = if (p == 2) "BFGS" else "Nelder-Mead", control = list(reltol = 1e-14, maxit = 2000))
    -rest$value
  }
  for (side in c(-1, 1)) {
    limit <- uniroot(function(x) profile(x) - level,
      sort(best$par[1] + side * c(1e-6, 12)), tol = 1e-10)$root
    put(analysis, if (side < 0) "low@0" else "high@0", limit)
  }
}
firth("firth_ovarian", Surv(time, event) ~ rx + age, ovarian2, 2)
# Monotone likelihood: no event in the treated group; the unpenalised estimate does not exist.
separated <- data.frame(
  time = c(5, 8, 12, 16, 20, 24, 30, 31, 33, 40), event = c(1, 1, 1, 0, 1, 0, 0, 0, 0, 0),
  group = c(0, 0, 0, 1, 0, 1, 1, 1, 0, 1)
)
save(separated, "separated")
firth("firth_separated", Surv(time, event) ~ group, separated, 1)
firth("firth_heart", Surv(start, stop, event) ~ transplant, heart2, 1)

put("binom", "low@6of10", binom.test(6, 10)$conf.int[1])
put("binom", "high@6of10", binom.test(6, 10)$conf.int[2])
put("binom", "high@0of7", binom.test(0, 7)$conf.int[2])
put("binom", "low@7of7", binom.test(7, 7)$conf.int[1])

write.csv(do.call(rbind, rows), "expected.csv", row.names = FALSE, quote = FALSE)
writeLines(
  c(R.version.string, paste("survival", packageVersion("survival"))), "versions.txt"
)
