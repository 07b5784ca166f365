"""What the names that real libraries give their metrics are taken to mean: a wrong verdict is worse than none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.metrics import Direction, direction
from mreg.errors import BadInput

SKLEARN_HIGHER = """
    accuracy accuracy_score balanced_accuracy balanced_accuracy_score top_k_accuracy average_precision
    average_precision_score neg_brier_score f1 f1_micro f1_macro f1_weighted f1_samples fbeta_score neg_log_loss precision
    precision_macro recall recall_weighted jaccard jaccard_score roc_auc roc_auc_ovr roc_auc_ovo_weighted
    d2_log_loss_score d2_brier_score d2_absolute_error_score d2_pinball_score d2_tweedie_score adjusted_mutual_info_score
    adjusted_rand_score completeness_score fowlkes_mallows_score homogeneity_score mutual_info_score
    normalized_mutual_info_score rand_score v_measure_score explained_variance explained_variance_score neg_max_error
    neg_mean_absolute_error neg_mean_squared_error neg_root_mean_squared_error neg_mean_squared_log_error
    neg_median_absolute_error neg_mean_poisson_deviance neg_mean_gamma_deviance neg_mean_absolute_percentage_error r2
    r2_score matthews_corrcoef positive_likelihood_ratio neg_negative_likelihood_ratio cohen_kappa_score dcg_score
    ndcg_score label_ranking_average_precision_score silhouette_score calinski_harabasz_score score test_score
    mean_test_score best_score mean_test_neg_mean_squared_error
""".split()
SKLEARN_LOWER = """
    brier_score_loss hamming_loss hinge_loss log_loss zero_one_loss max_error mean_absolute_error mean_squared_error
    mean_squared_log_error median_absolute_error mean_absolute_percentage_error root_mean_squared_error
    mean_pinball_loss mean_poisson_deviance mean_tweedie_deviance coverage_error label_ranking_loss davies_bouldin_score
    negative_likelihood_ratio fit_time score_time mean_fit_time
""".split()
TORCHMETRICS_HIGHER = """
    Accuracy BinaryAccuracy MulticlassF1Score BinaryF1Score F1Score FBetaScore AUROC MulticlassAUROC AveragePrecision
    CohenKappa Dice ExactMatch JaccardIndex MatthewsCorrCoef NegativePredictiveValue PrecisionAtFixedRecall
    RecallAtFixedPrecision SensitivityAtSpecificity Specificity ConcordanceCorrCoef CosineSimilarity ExplainedVariance
    KendallRankCorrCoef PearsonCorrCoef SpearmanCorrCoef R2Score InceptionScore PeakSignalNoiseRatio
    MultiScaleStructuralSimilarityIndexMeasure StructuralSimilarityIndexMeasure ScaleInvariantSignalDistortionRatio
    SignalNoiseRatio IntersectionOverUnion GeneralizedIntersectionOverUnion MeanAveragePrecision PanopticQuality
    map map_50 map_75 map_small mar_100 AdjustedMutualInfoScore AdjustedRandScore FowlkesMallowsIndex VMeasureScore
    NormalizedMutualInfoScore RetrievalHitRate RetrievalMAP RetrievalMRR RetrievalNormalizedDCG RetrievalRPrecision
    BERTScore BLEUScore CHRFScore ROUGEScore SacreBLEUScore WordInfoPreserved MeanIoU CalinskiHarabaszScore DunnIndex
""".split()
TORCHMETRICS_LOWER = """
    CalibrationError BinaryCalibrationError HammingDistance HingeLoss EER ContinuousRankedProbabilityScore
    JensenShannonDivergence KLDivergence LogCoshError MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError
    MeanSquaredLogError MinkowskiDistance NormalizedRootMeanSquaredError RelativeSquaredError TweedieDevianceScore
    SymmetricMeanAbsolutePercentageError WeightedMeanAbsolutePercentageError FrechetInceptionDistance
    KernelInceptionDistance LearnedPerceptualImagePatchSimilarity DaviesBouldinScore RetrievalFallOut CharErrorRate
    EditDistance ExtendedEditDistance MatchErrorRate Perplexity TranslationEditRate WordErrorRate WordInfoLost
    ErrorRelativeGlobalDimensionlessSynthesis
""".split()
EVALUATE_HIGHER = """
    bleu google_bleu sacrebleu bleurt bertscore chrf chrF++ comet exact_match overall_f1 overall_precision rouge1 rouge2
    rougeL rougeLsum meteor mauve mean_iou mean_accuracy pearsonr spearmanr matthews_correlation r_squared pass@1 pass@10
    sari eval_accuracy eval_f1 eval_exact_match eval_samples_per_second eval_steps_per_second train_samples_per_second
    predict_samples_per_second acc acc_norm acc,none exact_match,strict-match em eval_em
""".split()
EVALUATE_LOWER = """
    cer wer ter brier_score mae mse mape mase smape perplexity mean_perplexity word_perplexity byte_perplexity
    bits_per_byte toxicity toxicity_ratio eval_loss train_loss eval_runtime train_runtime
""".split()
KERAS_HIGHER = """
    acc accuracy binary_accuracy val_accuracy sparse_categorical_accuracy top_k_categorical_accuracy auc val_auc
    cosine_similarity mean_io_u binary_io_u one_hot_mean_io_u true_positives true_negatives precision_at_recall
    sensitivity_at_specificity f1_score fbeta_score r2_score
""".split()
KERAS_LOWER = """
    loss val_loss mse mae mean_squared_error mean_absolute_percentage_error mean_squared_logarithmic_error
    binary_crossentropy sparse_categorical_crossentropy categorical_cross_entropy kl_divergence
    kullback_leibler_divergence logcosh log_cosh hinge squared_hinge categorical_hinge false_positives false_negatives
""".split()
LIGHTNING_AND_BOOSTING_HIGHER = """
    train_acc_step train_acc_epoch valAUC val/acc metrics/mAP50-95(B) metrics/precision(B) mAP@0.5 aucpr ndcg@10 map@5
    recall@k hits@10 hit_rate TotalF1 multi_class_auc prec@1 acc@5 top5 R^2 F-1 PR-AUC ROC_AUC nDCG@10 test_f1-macro
""".split()
LIGHTNING_AND_BOOSTING_LOWER = """
    train_loss_step train_loss_epoch valLoss val/box_loss MSELoss merror mlogloss binary_logloss error@0.7
    gamma-deviance poisson-nloglik QueryRMSE sMAPE l1_loss top1_err top_5_error accuracy_loss cosine_similarity_loss
""".split()
SERVING_HIGHER = "throughput tokens_per_second requests_per_sec fps qps win_rate success_rate mean_reward".split()
SERVING_LOWER = """
    latency latency_ms p95_latency_ms latency_p99 p99_ms inference_time inference_time_ms response_ms time_per_sample
    ms_per_token seconds_per_step ttft time_to_first_token training_hours peak_memory_mb model_size model_size_mb
    cost_per_request miss_rate failure_rate false_discovery_rate fpr negative_log_likelihood neg_log_likelihood nll aic
""".split()
UNKNOWN = """
    foo epoch epochs step support n_samples threshold learning_rate params flops total_flos lr-Adam hp_metric fitness
    entropy policy_entropy variance var size batch_size vocab_size test_size dataset_size time timestamp uptime duration
    audio_duration timeout_ms time_to_failure distance distance_travelled deviation standard_deviation memory
    memory_free risk_score anomaly_score churn_score exact exact_count score_threshold accuracy_threshold
    accuracy_std std_test_score acc_stderr,none f1_stddev loss_scale grad_scale loss_weight accuracy_gap loss_delta
    error_reduction cost_savings latency_budget accuracy_target one_minus_ssim recall_size accuracy_time l1 l2 l2_norm
    poisson gini coverage diversity fp16 fp32_ops random_seed rand_seed em_iterations 0.5 42
""".split()

HIGHER = [*SKLEARN_HIGHER, *TORCHMETRICS_HIGHER, *EVALUATE_HIGHER, *KERAS_HIGHER, *LIGHTNING_AND_BOOSTING_HIGHER,
          *SERVING_HIGHER]  # fmt: skip
LOWER = [*SKLEARN_LOWER, *TORCHMETRICS_LOWER, *EVALUATE_LOWER, *KERAS_LOWER, *LIGHTNING_AND_BOOSTING_LOWER,
         *SERVING_LOWER]  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(HIGHER)))
def test_more_of_a_merit_is_better(name: str) -> None:
    assert direction(name) is Direction.HIGHER


@pytest.mark.parametrize("name", sorted(set(LOWER)))
def test_more_of_a_cost_is_worse(name: str) -> None:
    assert direction(name) is Direction.LOWER


@pytest.mark.parametrize("name", sorted(set(UNKNOWN)))
def test_nothing_is_claimed_where_a_name_can_mean_either(name: str) -> None:
    assert direction(name) is None


@given(
    st.sampled_from(sorted(set(HIGHER + LOWER) - {"em", "score"})),
    st.sampled_from(["val_", "test/", "train.", "eval "]),
)
def test_the_name_of_a_split_in_front_changes_nothing(name: str, split: str) -> None:
    assert direction(split + name) is direction(name)


@given(st.sampled_from(sorted({name for name in HIGHER + LOWER if name.islower()})))
def test_upper_case_changes_nothing(name: str) -> None:
    assert direction(name.upper()) is direction(name)


@given(st.text(max_size=60))
def test_any_text_has_a_direction_or_none(name: str) -> None:
    assert direction(name) in (*Direction, None)


def test_a_name_of_thousands_of_words_is_read_as_any_other() -> None:
    assert direction("neg_" * 2_000 + "loss") is Direction.LOWER
    assert direction("neg_" * 2_001 + "loss") is Direction.HIGHER


@given(st.sampled_from(["accuracy", "loss", "foo", "é"]), st.sampled_from(["higher", "LOWER"]))
def test_the_models_own_word_wins(name: str, word: str) -> None:
    assert direction(name, {name: word}) is Direction.parse(word)
    assert direction(name, {"other": word}) is direction(name)


def test_another_word_is_no_direction() -> None:
    with pytest.raises(BadInput) as caught:
        Direction.parse("up")
    assert (caught.value.message, caught.value.hint) == ("invalid direction 'up'", "write higher or lower")
