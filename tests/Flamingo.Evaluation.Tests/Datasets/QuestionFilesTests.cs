using Flamingo.Evaluation.Datasets;
using Xunit;

namespace Flamingo.Evaluation.Tests.Datasets;

public sealed class QuestionFilesTests
{
    [Fact]
    public void Vqav2_joins_questions_and_annotations_by_their_ids()
    {
        using var files = new CopiedBenchmark("vqav2");
        var benchmark = files.Read();
        Assert.Equal((BenchmarkKind.Answer, BenchmarkMetric.VqaAccuracy, 5), (benchmark.Kind, benchmark.Metric, benchmark.MaxTokens));
        Assert.Equal((4, 4), (benchmark.Queries.Count, benchmark.Examples.Count));
        // the annotations of val2014 are in the opposite order
        var query = benchmark.Queries[0];
        Assert.Equal(("1262000", "How many shapes are there?", ""), (query.Id, query.Question, query.Answer));
        Assert.Equal(10, query.References.Count);
        Assert.Equal("one", query.References[0]);
        Assert.Equal([new PicturePart(files.Path("val2014", "COCO_val2014_000000001262.jpg"))], query.Parts);
        var example = benchmark.Examples[0];
        Assert.Equal(("Is there a yellow star?", "no", "no"), (example.Question, example.Answer, Assert.Single(example.References)));
        Assert.Equal([new PicturePart(files.Path("train2014", "COCO_train2014_000000000262.jpg"))], example.Parts);
    }

    [Fact]
    public void Okvqa_has_the_same_form()
    {
        using var files = new CopiedBenchmark("okvqa");
        var benchmark = files.Read();
        Assert.Equal(("okvqa", 3, 3), (benchmark.Name, benchmark.Queries.Count, benchmark.Examples.Count));
    }

    [Theory]
    [InlineData("COCO_test2015_000000001262.jpg")]
    [InlineData("000000001262.jpg")]
    public void Pictures_of_coco_are_found_under_the_names_of_every_split_and_year(string name)
    {
        using var files = new CopiedBenchmark("vqav2");
        var pictures = files.Path("pictures");
        Directory.Move(files.Path("val2014"), pictures);
        File.Move(Path.Combine(pictures, "COCO_val2014_000000001262.jpg"), Path.Combine(pictures, name));
        files.Files = files.Files with { TestImages = pictures };
        Assert.Equal([new PicturePart(Path.Combine(pictures, name))], files.Read().Queries[0].Parts);
    }

    [Theory]
    [InlineData("textvqa", 10)]
    [InlineData("vizwiz", 5)]
    public void The_publishers_form_and_that_of_OpenFlamingo_say_the_same(string name, int tokens)
    {
        using var files = new CopiedBenchmark(name);
        var own = files.Read();
        files.Files = files.Files with
        {
            TrainQuestions = files.Path("train_questions_vqa_format.json"), TestQuestions = files.Path("val_questions_vqa_format.json"),
            TrainAnnotations = files.Path("train_annotations_vqa_format.json"),
            TestAnnotations = files.Path("val_annotations_vqa_format.json"),
        };
        var converted = files.Read();
        Assert.Equal((3, 3, tokens), (own.Queries.Count, own.Examples.Count, own.MaxTokens));
        Assert.Equal(Flat(own.Queries), Flat(converted.Queries));
        Assert.Equal(Flat(own.Examples), Flat(converted.Examples));

        static IEnumerable<string> Flat(IReadOnlyList<BenchmarkItem> items) => items.Select(item =>
            $"{((PicturePart)item.Parts.Single()).File} {item.Question} {item.Answer} {string.Join('|', item.References)}");
    }

    [Fact]
    public void Names_of_pictures_keep_their_zeros()
    {
        using var files = new CopiedBenchmark("textvqa");
        Assert.Contains(files.Read().Queries, item => ((PicturePart)item.Parts[0]).File.EndsWith("/0012345678901234.jpg"));
    }

    [Fact]
    public void Without_files_of_examples_there_are_queries_alone()
    {
        using var files = new CopiedBenchmark("vizwiz");
        files.Files = new() { TestQuestions = files.Files.TestQuestions, TestImages = files.Files.TestImages };
        Assert.Empty(files.Read().Examples);
        files.Files = files.Files with { TrainQuestions = files.Path("train.json") };
        Assert.Contains("--train-questions-json is given without the other files of the examples. Give --train-images too", files.Fault());
        files.Files = files.Files with { TrainQuestions = null, TrainImages = files.Path("train") };
        Assert.Contains("--train-images is given without the other files of the examples. Give --train-questions-json too", files.Fault());
    }

    [Theory]
    [InlineData("vizwiz", "test.json")]
    [InlineData("vqav2", "v2_OpenEnded_mscoco_val2014_questions.json")]
    public void A_split_without_answers_cannot_be_scored(string name, string questions)
    {
        using var files = new CopiedBenchmark(name);
        files.Files = files.Files with { TestQuestions = files.Path(questions), TestAnnotations = null };
        Assert.Equal($"{files.Path(questions)}: The questions have no answers, and VQA accuracy needs them. Name the annotations with "
            + "--test-annotations-json; those of test splits are not published, so ask the validation split.", files.Fault());
    }

    [Theory]
    [InlineData("\"question_id\": 1299001", "\"question_id\": 1262000", "(questions[1]): The question 1262000 is there twice.")]
    [InlineData("\"question_id\": 1299001", "\"question_id\": 5", "(questions[1]): The question 5 has no answers in ")]
    [InlineData("\"question_id\": 1299001", "\"id\": 5", "(questions[1]): question_id is missing.")]
    [InlineData("\"image_id\": 1299", "\"image_id\": 13", "The picture COCO_val2014_000000000013.jpg is not in ")]
    [InlineData("\"image_id\": 1299", "\"image_id\": \"../../x\"", "image_id is ../../x and not a number.")]
    [InlineData("\"image_id\": 1299", "\"image_id\": -1299", "image_id is -1299 and not a number.")]
    [InlineData("\"image_id\": 1299", "\"image_id\": true", "image_id is true and neither a text nor a number.")]
    [InlineData("\"question\": \"How", "\"question\": [], \"x\": \"", "question is a list and not a text.")]
    [InlineData("\"questions\": [", "\"questions\": [], \"x\": [", "The file has no question.")]
    [InlineData("\"questions\": [", "\"x\": [", "The file has no list 'questions' or 'data'.")]
    [InlineData("\"questions\": [", "\"questions\": [\"\\ud800\", ", "(questions[0]): This is a text and not an object.")]
    [InlineData("\"question\": \"How", "\"question\": \"\\ud800", "A text is not valid Unicode.")]
    [InlineData("\"question\": \"How", "\"quest\\ud800ion\": \"How", "A text is not valid Unicode.")]
    public void A_fault_in_questions_is_named(string part, string by, string fault)
    {
        using var files = new CopiedBenchmark("vqav2");
        files.Replace("v2_OpenEnded_mscoco_val2014_questions.json", part, by);
        Assert.Contains(fault, files.Fault());
    }

    [Theory]
    [InlineData("\"question_id\": 1299001", "\"question_id\": 1262000", "The question 1262000 is annotated twice.")]
    [InlineData("\"answer\": \"", "\"text\": \"", "answer is missing.")]
    [InlineData("\"answers\": [", "\"answers\": [], \"x\": [", "answers is empty.")]
    [InlineData("\"answers\": [", "\"answers\": \"yes\", \"x\": [", "answers is a text and not a list.")]
    [InlineData("\"annotations\": [", "\"x\": [", "The file has no list 'annotations'.")]
    public void A_fault_in_annotations_is_named(string part, string by, string fault)
    {
        using var files = new CopiedBenchmark("vqav2");
        files.Replace("v2_mscoco_val2014_annotations.json", part, by);
        Assert.Contains(fault, files.Fault());
    }

    [Fact]
    public void A_name_does_not_lead_out_of_the_folder()
    {
        using var files = new CopiedBenchmark("vizwiz");
        files.Replace("val.json", "VizWiz_val_00000001.jpg", "../train/VizWiz_train_00000001.jpg");
        Assert.Contains("The picture's name ../train/VizWiz_train_00000001.jpg leads out of its folder.", files.Fault());
    }
}
