using CsCheck;
using Flamingo.Abstractions;
using Flamingo.Testing;
using Google.Protobuf;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Wire.Tests;

/// <summary>Converting record → message → bytes → message → record gives the original record.</summary>
public sealed class RoundTripTests
{
    [Fact]
    public void Tensors() => Check(Records.Tensor, TensorWire.ToMessage, V1.Tensor.Parser, message => message.ToRecord("tensor"));

    [Fact]
    public void Public_requests() =>
        Check(Records.PublicRequest, FlamingoWire.ToMessage, V1.GenerateRequest.Parser, message => message.ToRecord(Records.Tenant));

    [Fact]
    public void Public_rank_requests() =>
        Check(Records.PublicRankRequest, FlamingoWire.ToMessage, V1.RankRequest.Parser, message => message.ToRecord(Records.Tenant));

    [Fact]
    public void Public_encode_requests() =>
        Check(Records.EncodeRequest, FlamingoWire.ToMessage, V1.EncodeRequest.Parser, message => message.ToRecord(Records.Tenant));

    [Fact]
    public void Support_sets_to_put() =>
        Check(Records.PutSet, SupportSetWire.ToMessage, V1.PutSupportSetRequest.Parser, message => message.ToRecord(Records.Tenant));

    [Fact]
    public void Support_sets() => Check(Records.Set, SupportSetWire.ToMessage, V1.SupportSet.Parser, SupportSetWire.ToRecord);

    [Fact]
    public void Cache_statistics() =>
        Check(Records.Statistics, LatentCacheWire.ToMessage, V1.CacheStatistics.Parser, LatentCacheWire.ToRecord);

    [Fact]
    public void Sampling() => Check(Records.Sampling, SamplingWire.ToMessage, V1.Sampling.Parser, message => message.ToRecord());

    [Fact]
    public void Answer_events() => Check(Records.Answer, AnswerWire.ToMessage, V1.GenerateResponse.Parser, AnswerWire.ToRecord);

    [Fact]
    public void Public_rankings() => Check(Records.PublicRanking, ResultWire.ToMessage, V1.RankResponse.Parser, ResultWire.ToRecord);

    [Fact]
    public void Encodings() => Check(Records.Encoding, ResultWire.ToMessage, V1.EncodeResponse.Parser, ResultWire.ToRecord);

    [Fact]
    public void Captions() =>
        Check(Records.Caption, TaskWire.ToMessage, V1.CaptionRequest.Parser, message => message.ToRecord(Records.Tenant));

    [Fact]
    public void Questions() =>
        Check(Records.Question, TaskWire.ToMessage, V1.AnswerRequest.Parser, message => message.ToRecord(Records.Tenant));

    [Fact]
    public void Labels() =>
        Check(Records.Classify, TaskWire.ToMessage, V1.ClassifyRequest.Parser, message => message.ToRecord(Records.Tenant));

    [Fact]
    public void Conversations() =>
        Check(Records.Chat, TaskWire.ToMessage, V1.ChatRequest.Parser, message => message.ToRecord(Records.Tenant));

    [Fact]
    public void Task_answers() => Check(Records.TaskAnswers, TaskWire.ToMessage, V1.TaskAnswer.Parser, TaskWire.ToRecord);

    [Fact]
    public void Classifications() => Check(Records.Classifications, TaskWire.ToMessage, V1.Classification.Parser, TaskWire.ToRecord);

    [Fact]
    public void A_task_without_a_picture_is_refused_by_field_and_an_absent_scoring_is_the_mean()
    {
        foreach (var message in new[] { new V1.CaptionRequest(), new V1.CaptionRequest { Prompt = new() },
            new V1.CaptionRequest { Prompt = new() { Visual = new() } } })
            Assert.Equal("prompt.visual", Assert.Single(Assert.Throws<FlamingoException>(() => message.ToRecord("")).Faults).Field);
        Assert.Equal("turns[1].visuals[0]",
            Assert.Single(Assert.Throws<FlamingoException>(
                () =>
                    new V1.ChatRequest { Turns = { new V1.ChatTurn(), new V1.ChatTurn { Visuals = { new V1.Visual() } } } }.ToRecord(
                        "")).Faults).Field);
        // an empty reply is not an absent reply
        Assert.Equal([null, ""], new V1.ChatRequest { Turns = { new V1.ChatTurn(), new V1.ChatTurn { Reply = "" } } }.ToRecord(
            "").Turns.Select(turn => turn.Reply));
        Assert.Equal(LabelScoring.Mean,
            new V1.ClassifyRequest { Prompt = new() { Visual = new() { PictureId = "a" } } }.ToRecord("").Scoring);
        // a stage of an older version sends no templates
        Same.Content(new PromptTemplates(), new V1.LanguageModelDescription().ToRecord().Prompts);
    }

    [Fact]
    public void Descriptions()
    {
        var model = new FlamingoModel(Records.Vision, Records.Resampler, Records.Language);
        Same.Content(model, Travel(model.ToMessage(), V1.Model.Parser).ToRecord());
    }

    [Fact]
    public void Absent_sampling_takes_the_defaults_and_a_zero_that_was_sent_stays()
    {
        Same.Content(new SamplingParameters(), ((V1.Sampling?)null).ToRecord());
        Same.Content(new SamplingParameters(), new V1.Sampling().ToRecord());
        var sent = Travel(new V1.Sampling { MaxTokens = 0, TopP = 0, RepetitionPenalty = 0, Seed = 0, Samples = 0, Beams = 0,
            LengthPenalty = 0, LogProbabilities = 0 }, V1.Sampling.Parser).ToRecord();
        Assert.Equal((0, 0f, 0f, 0ul), (sent.MaxTokens, sent.TopP, sent.RepetitionPenalty, sent.Seed!.Value));
        Assert.Equal((0, 0, 0f, 0), (sent.Samples, sent.Beams, sent.LengthPenalty, sent.LogProbabilities!.Value));
    }

    [Fact]
    public void An_absent_selection_is_all_and_an_absent_report_of_the_cache_is_none()
    {
        Same.Content(new SupportSetChoice("words"),
            Travel(new V1.SupportSetChoice { Name = "words" }, V1.SupportSetChoice.Parser).ToRecord());
        Same.Content(CacheUse.None, ((V1.CacheUse?)null).ToRecord());
        // an expected version of 0 is not an absent one
        Assert.Equal(0, Travel(new V1.PutSupportSetRequest { ExpectedVersion = 0 }, V1.PutSupportSetRequest.Parser)
            .ToRecord("").ExpectedVersion);
    }

    private static void Check<TRecord, TMessage>(
        Gen<TRecord> records, Func<TRecord, TMessage> send, MessageParser<TMessage> parser, Func<TMessage, TRecord> receive)
        where TMessage : IMessage<TMessage> =>
        records.Sample(record => Same.Content(record, receive(Travel(send(record), parser))));

    private static TMessage Travel<TMessage>(TMessage message, MessageParser<TMessage> parser)
        where TMessage : IMessage<TMessage> => parser.ParseFrom(message.ToByteArray());
}
